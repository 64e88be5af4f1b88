"""The edge beside the service."""
