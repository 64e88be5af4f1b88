"""Scoring functions of known memory; light to import, since a fresh process imports this file to run them."""

import os

import numpy as np

from ticket_sentiment.gates.variants import Score


def light() -> Score:
    return lambda texts, size: None


def heavy() -> Score:
    ballast = np.ones(25_000_000)  # 200 MB, touched
    return lambda texts, size: float(ballast.sum())


def dying() -> Score:
    os._exit(3)
