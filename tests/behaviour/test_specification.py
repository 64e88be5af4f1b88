from pathlib import Path

import pytest
import yaml

from ticket_sentiment.behaviour.specification import OWN, SUITE, read_suite
from ticket_sentiment.errors import TicketSentimentError

ROOT = Path(__file__).parents[2]
GOOD = {
    "name": "cancelling",
    "kind": "minimum",
    "capability": "cancellations",
    "expect": ["neutral"],
    "templates": ["Please cancel my {plan} contract at the end of {month}."],
}
PAIR = {"name": "a", "capability": "b", "templates": ["The {product} came."]}


@pytest.fixture
def own(tmp_path):
    """Write a team's file."""

    def write(*tests, words=None, text=None):
        path = tmp_path / "behaviour.yaml"
        path.write_text(
            yaml.safe_dump({"words": words or {}, "tests": list(tests)}) if text is None else text
        )
        return path

    return write


def test_a_team_adds_tests_and_words_without_code(own, tmp_path):
    ours = read_suite(tmp_path / "absent.yaml")
    both = read_suite(own(GOOD, words={"plan": ["Basic", "Pro"]}))
    assert both[:-1] == ours
    assert both[-1].words["plan"] == ["Basic", "Pro"] and "January" in both[-1].words["month"]
    assert read_suite(own(text="")) == read_suite(own(text="# nothing yet\ntests: []\n")) == ours


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"expct": ["neutral"]}, ("expct", "not a known key", "expect")),
        ({"expect": ["angry"]}, ("expect.0", "'negative', 'neutral' or 'positive'")),
        ({"expect": []}, ("expect: a test of kind minimum needs it",)),
        ({"kind": "maximum"}, ("kind", "'minimum', 'invariance'")),
        ({"name": "Cancel it"}, ("name",)),
        ({"templates": []}, ("templates",)),
        ({"templates": ["The {plann} is here."]}, ("templates", "{plann} is no known word list", "plan")),
        ({"templates": [7]}, ("templates.0", "string")),
        ({"change": "swap_letters"}, ("change", "none of")),
        ({"toward": "positive"}, ("toward: only for kind directional",)),
        ({"max_failure_rate": 2}, ("max_failure_rate",)),
        ({"name": "negated-praise"}, ("is there twice",)),
        (
            {"templates": ["The {plan} is here."], "words": {"plan": ["the {day} one"]}},
            ("words.plan", "'the {day} one' holds a slot"),
        ),
    ],
)
def test_a_mistake_is_refused_with_file_test_key_and_remedy(own, change, words):
    path = own(GOOD | change, words={"plan": ["Basic"]})
    with pytest.raises(TicketSentimentError) as refused:
        read_suite(path)
    for word in (str(path), f"test {change.get('name', 'cancelling')}", *words):
        assert word in str(refused.value)


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (PAIR | {"kind": "invariance", "after": ["I wrote on {day}."]}, "after: 'I wrote on {day}.' holds"),
        (
            PAIR | {"kind": "fairness", "vary": "product", "groups": {"x": ["{a}"], "y": ["b"]}},
            "groups.x: '{a}' holds a slot",
        ),
        (PAIR | {"kind": "invariance"}, "exactly one of change, vary, before, after"),
        (PAIR | {"kind": "robustness", "change": "lower_case", "after": ["x"]}, "exactly one of"),
        (
            PAIR | {"kind": "invariance", "change": "upside_down"},
            "upside_down is not known (known: swap_letters",
        ),
        (PAIR | {"kind": "directional", "after": ["Great!"]}, "toward: a test of kind directional needs it"),
        (PAIR | {"kind": "invariance", "vary": "name"}, "every template must hold the slot {name}"),
        (PAIR | {"kind": "invariance", "vary": "product", "words": {"product": ["app"]}}, "has one entry"),
        (PAIR | {"kind": "fairness", "vary": "product", "groups": {"x": ["a"]}}, "at least two groups"),
        (PAIR | {"kind": "fairness", "vary": "product", "groups": {"x": ["a"], "y": ["b", "c"]}}, "as many"),
        (PAIR | {"kind": "fairness", "after": ["x"], "groups": {"x": ["a"], "y": ["b"]}}, "vary"),
    ],
)
def test_a_pair_needs_what_makes_the_difference(own, test, words):
    with pytest.raises(TicketSentimentError, match="test a: ") as refused:
        read_suite(own(test))
    assert words in str(refused.value)


@pytest.mark.parametrize("text", ["tests: [", "tests:\n  - 3\n", "\x00", "tests: 3\n", "- a\n"])
def test_what_is_no_such_file_is_refused_by_its_name(own, text):
    path = own(text=text)
    with pytest.raises(TicketSentimentError, match="orrect it") as refused:
        read_suite(path)
    assert str(path) in str(refused.value)


def test_the_examples_for_people_can_be_copied(own):
    page = (ROOT / "docs/behaviour.md").read_text().partition("## Your own tests")[2]
    block = "\n".join(line[4:] for line in page.splitlines() if line.startswith("    ") or not line)
    assert [test.name for test in read_suite(own(text=block))[-3:]] == [
        "cancelling-is-no-anger",
        "the-plan-does-not-matter",
        "our-apology-behind",
    ]
    head, words, rest = (ROOT / OWN).read_text().partition("# words:")
    assert read_suite(own(text=head + words + rest)) == read_suite(own())
    example = read_suite(own(text=head + (words + rest).replace("# ", "", 1).replace("\n# ", "\n")))[-1]
    assert (example.name, example.max_failure_rate) == ("cancelling-is-no-anger", 0.1)


def test_no_test_of_ours_has_a_floor_and_sarcasm_is_only_a_diagnosis():
    tests = read_suite(SUITE / "absent.yaml")
    assert all(test.max_failure_rate is None for test in tests)
    assert all(test.diagnosis for test in tests if test.capability == "sarcasm")
