"""The whole rollout with real servers and real traffic, on one machine: see __main__.py."""
