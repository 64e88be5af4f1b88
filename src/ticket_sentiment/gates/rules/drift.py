"""The gate `drift`: what the answers to three questions about the newest month mean for a release.

- incoming: a person is told, and nothing is held up. The candidate was judged on these very tickets by the
  gates quality and champion, and a month that has changed is what a retraining is for: to stop one because
  the world has changed would leave the older model in its place. (Live, the same finding starts one early.)
- holdout: where it does not look like live traffic, its quality is that of other tickets: a person decides.
- answers: where the candidate answers much otherwise than the champion, customers notice: a person decides.

Nothing to compare with is no missing evidence. That there is no champion, no recorded answer, no unlabelled
ticket is a fact, read from a registry, a database and a folder that answered (one that does not stops the
run); the holdout then is all that is known of the month, and a first month that was held up for what only a
release can bring would be held up for ever. So it passes, and says so. What should be there and is not fails.
"""

from collections.abc import Iterator, Mapping

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.evidence_types import Drift, DriftTest
from ticket_sentiment.gates.fail_closed import Limits, Looked, MissingEvidence, finding, gate, need
from ticket_sentiment.gates.verdict import Finding
from ticket_sentiment.gates.words import number, share

NAMES = {
    "label": "mix of labels",
    "predicted_label": "mix of predictions",
    "channel": "mix of channels",
    "language": "languages",
    "embedding": "what is written",
    "text_chars": "length in characters",
    "text_tokens": "length in tokens",
    "capital_share": "share of capitals",
    "non_ascii_share": "share of accents, other scripts and emoji",
    "unknown_word_share": "words the model does not know whole",
    "confidence": "the model's confidence",
    "changed_answers": "tickets that get another answer",
}
# Without one of these a question has no answer; the other measures of a question may come and go.
EXPECTED = {
    "incoming": ("label", "predicted_label", "text_chars", "capital_share", "embedding"),
    "holdout": ("predicted_label", "confidence", "text_chars"),
    "answers": ("predicted_label", "confidence", "changed_answers"),
}


def moved(tests: Mapping[str, DriftTest]) -> str:
    """The measures beyond their limits, each with its distance and limit; empty where there is none."""
    return ", ".join(
        f"{NAMES.get(name, name)} ({number(test.value, 3)}, limit {number(test.threshold, 3)})"
        for name, test in tests.items()
        if test.usable and test.drifted
    )


def live_words(report: Drift) -> str:
    """What the holdout is compared with, or that there is nothing."""
    month = report.current.month
    return {
        "predictions": f"{report.live.rows:,} live answers of the champion in {month}",
        "unlabelled": f"{report.live.rows:,} tickets of {month} that nobody labelled",
        "none": f"no answer of the champion in {month} is on record, and "
        f"{share(report.live.labelled_share)} of its collected tickets are labelled",
    }[report.live.kind]


def _asked(report: Drift) -> dict[str, Mapping[str, DriftTest]]:
    """The tests of each question that had to be asked.

    Raises:
        MissingEvidence: one was not answered, or lacks a measure.
    """
    questions = {"incoming": report.incoming, "holdout": report.holdout, "answers": report.answers}
    no_need = {
        "holdout": report.live.kind == "none",
        "answers": report.champion_digest in (None, report.bundle_digest),
    }
    asked: dict[str, Mapping[str, DriftTest]] = {}
    for name, tests in questions.items():
        if no_need.get(name, False):
            continue
        absent = [key for key in EXPECTED[name] if key not in (tests or {})]
        if tests is None or absent:
            raise MissingEvidence(
                f"The drift report says nothing about {NAMES[absent[0]]} ({name}): "
                "run `dvc repro -f -s drift`."
            )
        asked[name] = tests
    return asked


@gate("Has the month changed, and is the holdout like live traffic?", place=80)
def drift(evidence: Evidence, limits: Limits) -> Looked:
    """What came in is known, the holdout looks like live traffic, and answers change no more than usual."""
    report, split = need(evidence.drift), need(evidence.split)
    if report.reference.sha256 != split.sha256.train:
        raise MissingEvidence(
            "The drift report is about other tickets than this model's: run `dvc repro drift`."
        )
    asked, month = _asked(report), report.current.month

    def findings() -> Iterator[Finding]:
        for name, tests in asked.items():
            for key, test in tests.items():
                if not test.usable:
                    yield finding(
                        "fail", f"The drift test of {NAMES.get(key, key)} ({name}) gave no usable answer."
                    )
        changed = moved(report.incoming)
        yield finding(
            "pass",
            f"For a person to know: {month} is unlike the training months in {changed}."
            if changed
            else f"What came in during {month} is like the training months.",
        )
        if "holdout" not in asked:
            yield finding("pass", f"Nothing to compare the holdout with: {live_words(report)}.")
        elif unlike := moved(asked["holdout"]):
            yield finding(
                "review",
                f"The holdout is unlike {live_words(report)} in {unlike}: "
                "its quality may not be that of the service.",
            )
        else:
            yield finding("pass", f"The holdout looks like {live_words(report)}.")
        if "answers" not in asked:
            yield finding("pass", "No other model is in service whose answers could be compared.")
        elif otherwise := moved(asked["answers"]):
            yield finding("review", f"It answers otherwise than the champion: {otherwise}.")
        else:
            yield finding("pass", "It answers the month's tickets much as the champion does.")

    return findings(), {
        name: sorted(key for key, test in tests.items() if test.drifted) for name, tests in asked.items()
    }
