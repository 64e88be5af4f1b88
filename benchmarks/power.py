"""How many tickets does a holdout need, so that gate `champion` decides without a person?

    python -m benchmarks.power [--months 200]

draws months of tickets, each from a customer of its own, and two models: both miss the hard ones, and each
makes mistakes of its own. The interval of the difference is that of stage `evaluate`, its limit that of
params.yaml.
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from ticket_sentiment.gates import metrics
from ticket_sentiment.params import Params, load_params

TICKETS = (300, 600, 1200, 2400, 4800)
LABELS = (0.4, 0.25, 0.35)  # shares of the three
HARD, OWN = 0.20, 0.07  # shares of tickets that both miss, and that one misses by itself
WORSE = {"equal": 0.0, "2 points better": -0.02, "4 points worse": 0.04}  # in the share of own mistakes
SEED = 7


def _answers(actual: NDArray, hard: NDArray, own: float, draw: np.random.Generator) -> NDArray:
    wrong = hard | (draw.random(len(actual)) < own)
    return np.where(wrong, (actual + draw.integers(1, 3, size=len(actual))) % 3, actual)


def _verdict(tickets: int, worse: float, params: Params, draw: np.random.Generator) -> str:
    actual = draw.choice(3, p=LABELS, size=tickets)
    hard = draw.random(tickets) < HARD
    new, old = _answers(actual, hard, OWN + worse, draw), _answers(actual, hard, OWN, draw)
    found = metrics.bootstrap_confusions(
        actual, {"new": new, "old": old}, np.arange(tickets), params.evaluate.bootstrap_samples, SEED
    )
    whole = [metrics.macro_f1(metrics.confusion_matrix(actual, one)) for one in (new, old)]
    drawn = metrics.macro_f1(found["new"]) - metrics.macro_f1(found["old"])
    interval = metrics.clustered_interval(float(whole[0] - whole[1]), drawn, tickets, least=-1.0)
    margin = params.gate.max_loss_to_champion
    if interval.low >= -margin:
        return "pass"
    return "fail" if interval.high < -margin else "review"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.power", description=__doc__)
    parser.add_argument("--months", type=int, default=200, help="of each size and kind")
    months = parser.parse_args().months
    params, draw = load_params(), np.random.default_rng(SEED)
    print(f"| tickets | {' | '.join(WORSE)} |\n|---:|{'---:|' * len(WORSE)}")
    for tickets in TICKETS:
        cells = []
        for worse in WORSE.values():
            seen = [_verdict(tickets, worse, params, draw) for _ in range(months)]
            shares = [f"{100 * seen.count(name) / months:.0f}" for name in ("pass", "review", "fail")]
            cells.append(" / ".join(shares))
        print(f"| {tickets:,} | {' | '.join(cells)} |", flush=True)
    print("\nPer cent of the months: pass / a person is asked / fail.")


if __name__ == "__main__":
    main()
