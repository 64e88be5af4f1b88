"""The check of deploy/kubernetes: rendered, held against schemas and policies, its queries parsed. No cluster."""
