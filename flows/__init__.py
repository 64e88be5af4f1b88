"""Prefect flows: time, order, retries, side effects.

What they do is in the library; what depends on what is in dvc.yaml.
"""
