"""Our service beside its peers, on one machine: see __main__.py."""
