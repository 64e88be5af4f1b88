"""Signatures of bundles: made where a model is registered, asked for where it is served."""
