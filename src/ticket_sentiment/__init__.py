"""Retrain, compress, judge and serve a sentiment model for customer tickets, every month."""
