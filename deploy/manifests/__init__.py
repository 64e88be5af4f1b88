"""The check of deploy/kubernetes: rendered, held against schemas and policies, queries parsed; no cluster."""
