"""Stage `prune`: the cheapest shape that keeps the budget is cut out of the dense model and distilled.

Shapes are tried in the order of the frontier, the cheapest first. Each is a real bundle in int8, scored on
the tuning tickets beside the dense model; the first one inside the budget is taken. When none is, the dense
model itself goes on, and the gate asks a person.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ticket_sentiment.files import read_json, sha256_tree
from ticket_sentiment.model.builds import Builder
from ticket_sentiment.model.compress import Student, Teacher, ask, compress, save_student, whole
from ticket_sentiment.model.data import DENSE, PREPARED, PRUNED, LabelledTexts, read_texts
from ticket_sentiment.model.fit import write_curve
from ticket_sentiment.model.frontier import FrontierPoint, allowed, inside, read_frontier
from ticket_sentiment.params import Params

CURVE = Path("reports/training/distillation_curve.csv")


@dataclass(frozen=True)
class Attempt:
    """A shape that was tried this month; loss is of macro-F1 on the tuning tickets."""

    shape: str
    tune_loss: float
    mb: float
    inside_budget: bool

    def line(self) -> str:
        """One line for the terminal."""
        verdict = "inside" if self.inside_budget else "outside"
        return (
            f"{self.shape}: {100 * self.tune_loss:+.2f} points lost on the tuning tickets, {self.mb:.1f} MB: "
            f"{verdict} the budget"
        )


def attempt(
    name: str, student: Student, dense_macro_f1: float, tune: LabelledTexts, params: Params
) -> Attempt:
    """Make the int8 bundle in a temporary folder and score it."""
    builder = Builder(student.model, student.tokenizer, params, sha256_tree(PREPARED))
    with tempfile.TemporaryDirectory() as folder:
        bundle = builder.calibrated(Path(folder) / "cpu", "int8", tune)
        mb = bundle.size_bytes / 1e6
    loss = dense_macro_f1 - bundle.manifest.metrics["tune_macro_f1"]
    return Attempt(name, loss, mb, inside(params.budget, loss, mb))


def to_try(ladder: Sequence[FrontierPoint], tries: int) -> list[FrontierPoint]:
    """The cheapest shapes, at last the most accurate: the cheapest lie nearest to the budget."""
    if len(ladder) <= tries or tries == 0:
        return list(ladder[:tries])
    return [*ladder[: tries - 1], min(ladder[tries - 1 :], key=lambda point: point.tune_loss)]


def choose(
    ladder: Sequence[FrontierPoint],
    teacher: Teacher,
    dense_macro_f1: float,
    tune: LabelledTexts,
    params: Params,
) -> tuple[Student, list[Attempt]]:
    """The first shape of the ladder inside the budget, or the dense model, and all that was tried."""
    attempts: list[Attempt] = []
    for point in to_try(ladder, params.budget.tries):
        student = compress(teacher, point.shape, tune, params)
        attempts.append(attempt(point.name, student, dense_macro_f1, tune, params))
        print(attempts[-1].line())
        if attempts[-1].inside_budget:
            return student, attempts
    student = whole(teacher, params)
    found = attempt("dense", student, dense_macro_f1, tune, params)
    # Whatever it loses, it is none of the shapes that the budget was to buy: a person shall look.
    return student, [*attempts, replace(found, inside_budget=False)]


def main(params: Params) -> None:
    """Read models/dense, the frontier and the prepared tickets; write models/pruned and its curve."""
    tables = {name: read_texts(name) for name in ("train", "tune", "unlabelled")}
    dense_macro_f1 = read_json(DENSE / "training.json")["tune_macro_f1"]
    ladder = allowed(read_frontier(), params.budget, params.train.base_model)
    student, attempts = choose(ladder, ask(params, DENSE, tables), dense_macro_f1, tables["tune"], params)
    save_student(student, PRUNED, attempts=[asdict(attempt) for attempt in attempts])
    write_curve(CURVE, student.curve)
