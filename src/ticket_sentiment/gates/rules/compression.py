"""The gate `compression`: the budget of compression is kept, and the conversion changed nothing.

Shapes are chosen on the tuning tickets; here the chosen one is judged on the holdout, which was never used
for a choice.
"""

from collections.abc import Iterator, Sequence

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.evidence_types import Attempt, Compression, Estimate
from ticket_sentiment.gates.fail_closed import Limits, Looked, MissingEvidence, finding, found, gate, need
from ticket_sentiment.gates.verdict import Finding
from ticket_sentiment.gates.words import number, points, share, telling
from ticket_sentiment.model.frontier import FRONTIER, FrontierPoint, allowed, inside
from ticket_sentiment.params import Budget

LIKELY = 0.8416 / 1.9600  # of the half of a 95 % interval: where four fifths of a normal distribution end

# What is released without being scored on the holdout, and what it is held against. The edge bundle rounds
# its stored numbers: what was a near tie may turn.
UNSCORED = {
    "fp32": ("ONNX in full precision", "the PyTorch model"),
    "fp16": ("The GPU bundle", "the PyTorch model"),
    "edge_to_cpu": ("The edge bundle", "the CPU bundle"),
}


def in_words(budget: Budget) -> str:
    """ "1.0 points and 8.0 MB": the limits that are set."""
    limits = [points(budget.max_loss, sign=False)]
    if budget.max_mb is not None:
        limits.append(f"{number(budget.max_mb, 1)} MB")
    if budget.max_ms is not None:
        limits.append(f"{number(budget.max_ms, 2)} ms")
    return " and ".join(limits)


def excess(budget: Budget, loss: float, mb: float, ms: float | None = None) -> str:
    """By how much the limits are passed: "loses 1.4 points, 0.4 too many"; empty where they are kept.

    Args:
        budget: the limits.
        loss: of macro-F1 on the tuning tickets.
        mb: 10^6 bytes of the CPU bundle.
        ms: of a ticket, where it was measured.
    """
    # Two digits: with one, a loss of 1.04 points would read as "1.0 points, 0.0 too many".
    over = []
    if loss > budget.max_loss:
        lost, more = number(100 * loss, 2), number(100 * (loss - budget.max_loss), 2)
        over.append(f"loses {lost} points on the tuning tickets, {more} too many")
    if budget.max_mb is not None and mb > budget.max_mb:
        digits = telling(mb, budget.max_mb, 1)
        over.append(f"takes {number(mb, digits)} MB, {number(mb - budget.max_mb, digits)} too many")
    if budget.max_ms is not None and ms is not None and ms > budget.max_ms:
        digits = telling(ms, budget.max_ms, 2)
        over.append(f"takes {number(ms, digits)} ms, {number(ms - budget.max_ms, digits)} too many")
    return " and ".join(over)


def why_nothing_fits(shapes: Sequence[FrontierPoint], budget: Budget, base_model: str) -> str:
    """Why no shape of the frontier was tried, and what to do.

    Raises:
        MissingEvidence: there are shapes to try; what was made belongs to another frontier or budget.
    """
    own = [point for point in shapes if point.kind == "compressed" and point.base_model == base_model]
    if not own:
        return f"{FRONTIER} holds no shape for the base model {base_model}: run `make search`"
    if not allowed(shapes, budget, base_model):
        nearest = min(own, key=lambda point: point.tune_loss)
        return (
            f"none of the {len(own)} shapes in {FRONTIER} is inside the budget of {in_words(budget)} (the "
            f"most accurate, {nearest.name}, loses {number(100 * nearest.tune_loss, 2)} points at "
            f"{number(nearest.mb, 1)} MB): raise the budget in params.yaml, or add larger shapes to "
            "search.shapes and run `make search`"
        )
    if budget.tries == 0:
        return "budget.tries is 0: raise it in params.yaml"
    raise MissingEvidence("Shapes inside the budget were measured and none was tried: run `dvc repro prune`.")


def misses(refused: Sequence[Attempt], budget: Budget) -> str:
    """What was tried and not taken, and by how much each shape missed the budget."""
    return "; ".join(f"{one.shape} {excess(budget, one.tune_loss, one.mb)}" for one in refused)


def why_dense(refused: Sequence[Attempt], budget: Budget) -> str:
    """What was tried, by how much each shape missed the budget, and what to do."""
    return (
        f"no shape that was tried stayed inside the budget of {in_words(budget)} "
        f"({misses(refused, budget)}): raise budget.tries to try larger shapes, or budget.max_loss, "
        "or run `make search` to measure anew"
    )


def loss_finding(difference: Estimate, max_loss: float) -> Finding:
    """On the holdout: surely above the budget fails; above it with a chance of four in five asks a person.

    A month's holdout measures the difference to a point or two. If the estimate alone decided, a model that
    keeps the budget would wait for a person every few months.
    """
    change = f"Compression changes macro-F1 by {points(difference)}"
    accepted = f"a loss of up to {points(max_loss, sign=False)} is accepted"
    if -difference.high > max_loss:
        return finding("fail", f"{change}, which surely breaks the budget: {accepted}.")
    if -difference.value - LIKELY * (difference.high - difference.value) > max_loss:
        return finding("review", f"{change}, which probably breaks the budget: {accepted}.")
    return finding("pass", f"{change}; {accepted}.")


def choice_finding(evidence: Evidence, report: Compression, budget: Budget) -> Finding:
    """A shape of the frontier was chosen; the dense model in its place waits for a person."""
    chosen = report.chosen
    shapes = [one for one in report.attempts if not one.dense]  # the dense model is never a choice
    if any(one.inside_budget != inside(budget, one.tune_loss, one.mb) for one in shapes):
        return finding("fail", "The shape was chosen for another budget: run `dvc repro prune`.")
    if not chosen.dense:
        sentence = f"{chosen.shape} is the cheapest shape tried that keeps the budget of {in_words(budget)}."
        late = f"{chosen.shape} was released though it {excess(budget, chosen.tune_loss, chosen.mb)}."
        return found(chosen.inside_budget, "review", sentence, late)
    if report.refused:
        reason = why_dense(report.refused, budget)
    else:
        base_model = need(evidence.cpu).manifest.base_model
        reason = why_nothing_fits(need(evidence.frontier), budget, base_model)
    return finding("review", f"Nothing was cut, the dense model goes on in 8-bit numbers: {reason}.")


@gate("Did making it small cost little?", place=40)
def compression(evidence: Evidence, limits: Limits) -> Looked:
    """Compression kept its budget, and the conversion to ONNX changed nothing."""
    evaluation, report = need(evidence.evaluation), need(evidence.compression)
    difference, budget = evaluation.differences.compressed_minus_dense.macro_f1, limits.budget

    def findings() -> Iterator[Finding]:
        yield loss_finding(difference, budget.max_loss)
        yield choice_finding(evidence, report, budget)
        if budget.max_mb is not None:
            megabytes = need(evidence.cpu).size_bytes / 1e6
            yield found(
                megabytes <= budget.max_mb,
                "fail",
                f"The bundle takes {number(megabytes, 1)} MB, budget {number(budget.max_mb, 1)} MB.",
            )
        if budget.max_ms is not None:
            ms = need(evidence.benchmark).variants.cpu_bundle.batch1.p50_ms
            yield found(
                ms <= budget.max_ms,
                "review",
                f"A ticket takes {number(ms, 2)} ms on this machine, budget {number(budget.max_ms, 2)} ms.",
            )
        exact = (limits.gate.min_label_agreement, limits.missed("min_label_agreement"))
        rounded = (limits.gate.min_edge_agreement, limits.missed("min_edge_agreement"))
        for name, (where, other) in UNSCORED.items():
            agreement = getattr(report.parity, name)
            floor, otherwise = rounded if name == "edge_to_cpu" else exact
            yield found(
                agreement.label_agreement >= floor,
                otherwise,
                f"{where} gives the label of {other} for {share(agreement.label_agreement, 2)} of "
                f"{agreement.rows:,} tickets, floor {share(floor, 2)}.",
            )

    agreements = {name: one["label_agreement"] for name, one in report.parity.model_dump().items()}
    return findings(), {
        "loss_to_dense": {"value": -difference.value, "low": -difference.high, "high": -difference.low},
        "shape": report.chosen.shape,
        "attempts": [one.model_dump() for one in report.attempts],
        "label_agreement": agreements,
    }
