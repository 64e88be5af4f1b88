import pkgutil

from ticket_sentiment.gates import rules
from ticket_sentiment.gates.fail_closed import Gate, Limits
from ticket_sentiment.gates.rules import GATES
from ticket_sentiment.gates.rules.licence import plain


def test_every_file_is_a_gate_with_a_question_and_a_place_of_its_own():
    files = {module.name for module in pkgutil.iter_modules(rules.__path__)}
    assert set(GATES) == files
    assert all(isinstance(one, Gate) and one.question.endswith("?") for one in GATES.values())
    places = [one.place for one in GATES.values()]
    assert places == sorted(set(places))


def test_a_missed_threshold_fails_unless_params_says_review(limits):
    gate = limits.gate.model_copy(update={"review": ["min_macro_f1"]})
    changed = Limits(gate, limits.budget)
    assert changed.missed("min_macro_f1") == "review"
    assert changed.missed("max_calibration_error") == "fail"


def test_licences_are_compared_as_people_write_them():
    assert plain("Apache 2.0") == plain("apache-2.0") != plain("MIT")
