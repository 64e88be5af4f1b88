"""Damaged candidates and data sets, each of which the gate meant for it must stop."""
