"""The whole loop over months of the demo, live on one machine: see __main__.py."""
