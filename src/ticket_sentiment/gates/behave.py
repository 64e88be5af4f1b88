"""Stage `behaviour`: what the new model, the dense one and the champion do in the cases of the suite.

Every text goes the way of the service, `canonical(clean(text))`, and each bundle reads it alone, as
stage `evaluate` has it: in a batch an int8 model's answer depends on its neighbours.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from ticket_sentiment.behaviour.cases import Plan, Planned, plan
from ticket_sentiment.behaviour.check import Checked, check, rate, rise
from ticket_sentiment.behaviour.specification import read_suite
from ticket_sentiment.files import replacing, write_json
from ticket_sentiment.gates.scored import CHAMPION, CPU_BUNDLE, DENSE, score_bundle, score_dense
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.bundle import MANIFEST
from ticket_sentiment.params import Behaviour, Params

RESULT = Path("reports/behaviour.json")
RATES = Path("reports/behaviour.csv")


def score_models(texts: list[str], max_length: int) -> tuple[dict[str, NDArray], dict[str, str]]:
    """Probabilities of `texts` by every model there is, [texts, labels], and the digests of the bundles."""
    digests, scored = {}, {}
    digests["compressed"], scored["compressed"] = score_bundle(CPU_BUNDLE, texts)
    scored["dense"] = score_dense(DENSE, texts, max_length)
    if (CHAMPION / MANIFEST).is_file():
        digests["champion"], scored["champion"] = score_bundle(CHAMPION, texts)
    return {name: model.probabilities for name, model in scored.items()}, digests


def expected(planned: Planned) -> str:
    """What a test expects, in words."""
    test = planned.test
    if test.kind == "minimum":
        return " or ".join(test.expect)
    return f"no less {test.toward}" if test.kind == "directional" else "the same answer"


def worst(planned: Planned, checked: Checked, count: int) -> list[dict[str, Any]]:
    """The failed cases that are farthest from what was expected, each with all its texts and answers."""
    order = sorted(checked.failed.nonzero()[0], key=lambda case: (-checked.badness[case], case))
    return [
        {
            "texts": list(planned.cases[case]),
            "answers": [LABELS[answer] for answer in checked.answers[case]],
            "expected": expected(planned),
        }
        for case in order[:count]
    ]


def judge(planned: Planned, scored: Mapping[str, NDArray], settings: Behaviour) -> dict[str, Any]:
    """One entry of `tests` in reports/behaviour.json.

    Args:
        planned: the test and its cases.
        scored: probabilities of `Plan.texts` by model; `champion` may be absent.
        settings: tolerance, and how many examples.
    """
    test = planned.test
    checked = {name: check(planned, one, settings.tolerance) for name, one in scored.items()}
    ours, cases = checked["compressed"], len(planned.cases)
    result: dict[str, Any] = {
        "name": test.name,
        "kind": test.kind,
        "capability": test.capability,
        "diagnosis": test.diagnosis,
        "max_failure_rate": test.max_failure_rate,
        "cases": cases,
        "examples": worst(planned, ours, settings.examples),
    }
    for name in ("compressed", "dense", "champion"):
        other = checked.get(name)
        result[name] = None if other is None else rate(int(other.failed.sum()), cases)
        result[f"{name}_gap"] = None if other is None else other.gap
        if name != "compressed":
            result[f"rise_over_{name}"] = None if other is None else rise(ours.failed, other.failed)
    return result


def report(
    suite: Plan, scored: Mapping[str, NDArray], digests: Mapping[str, str], settings: Behaviour
) -> Any:
    """The content of reports/behaviour.json."""
    return {
        "bundle_digest": digests["compressed"],
        "champion_digest": digests.get("champion"),
        "cases": sum(len(planned.cases) for planned in suite.tests),
        "texts": len(suite.texts),
        "tests": [judge(planned, scored, settings) for planned in suite.tests],
    }


def rates(tests: list[dict[str, Any]]) -> pd.DataFrame:
    """One row a test, for `dvc plots`."""
    columns = ("name", "kind", "capability", "cases")
    return pd.DataFrame(
        [
            {column: test[column] for column in columns}
            | {"failure_rate": test["compressed"]["value"]}
            | {key: test["compressed"][key] for key in ("low", "high")}
            | {name: test[name] and test[name]["value"] for name in ("dense", "champion")}
            for test in tests
        ]
    )


def main(params: Params) -> None:
    """Write reports/behaviour.json and reports/behaviour.csv."""
    settings = params.behaviour
    suite = plan(read_suite(), settings.cases_per_test, settings.seed)
    scored, digests = score_models(suite.texts, params.train.max_length)
    result = report(suite, scored, digests, settings)
    with replacing(RATES) as temporary:
        rates(result["tests"]).to_csv(temporary, index=False)
    write_json(RESULT, result)
