import json
import re

import pytest

from ticket_sentiment.edge.rules import rules
from ticket_sentiment.tickets import canonical, markup, privacy

# Patterns that a text does not go through before the model, and prefilters.
ELSEWHERE = {"MASK", "_PUNCTUATION", "_DIGIT", "_ENDLESS_REFERENCE"}


@pytest.mark.parametrize("module", [privacy, markup, canonical])
def test_every_pattern_that_a_text_goes_through_is_exported(module):
    own = {name for name, value in vars(module).items() if isinstance(value, re.Pattern)} - ELSEWHERE
    assert set(module.PATTERNS) == {name.removeprefix("_").lower() for name in own}


def test_the_rules_are_plain_json_and_small():
    text = json.dumps(rules(), allow_nan=False)
    assert 50_000 < len(text) < 150_000
    assert json.loads(text)["characters"]["lower"]["É"] == "é"


def test_the_tables_are_what_the_tokenizer_does():
    tables = rules()["characters"]
    assert [0x4E00, 0x9FFF] in tables["cjk"]
    assert any(first <= 0x301 <= last for first, last in tables["mark"])
    assert any(first <= ord("…") <= last for first, last in tables["punctuation"])
