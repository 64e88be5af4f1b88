"""From tests to texts: slots filled, pairs made, every different text once. Equal seeds give equal cases."""

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ticket_sentiment.behaviour.changes import CHANGES
from ticket_sentiment.behaviour.specification import SLOT, BehaviourTest
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.privacy import clean

Case = tuple[str, ...]  # one text; base and changed; or one of each group


def _filled(test: BehaviourTest, template: str, chosen: dict[str, str], value: str = "") -> str:
    """A template with its slots filled, and with what the texts of a case differ in: a slot, a sentence."""
    if test.vary:
        chosen = chosen | {test.vary: value}
    text = SLOT.sub(lambda slot: chosen[slot[1]], template)
    text = text[:1].upper() + text[1:]
    if test.before:
        return f"{value} {text}" if value else text
    return f"{text} {value}" if test.after and value else text


def _differences(test: BehaviourTest) -> list[tuple[str, ...]]:
    """What the texts of a case differ in: for each way, one value a text."""
    if test.groups:
        return list(zip(*test.groups.values(), strict=True))
    if test.vary:
        base, *others = test.words[test.vary]
        return [(base, other) for other in others]
    return [("", sentence) for sentence in (*test.before, *test.after)]


def _choices(test: BehaviourTest, template: str) -> list[tuple[str, list[str]]]:
    """The slots of one template that are alike in a case, each once, with their values."""
    slots = dict.fromkeys(slot for slot in SLOT.findall(template) if slot != test.vary)
    return [(slot, list(dict.fromkeys(test.words[slot]))) for slot in slots]


def _drawn(test: BehaviourTest, template: str, count: int, seed: int) -> list[dict[str, str]]:
    """Up to `count` fillings of a template; the same in every test that has it, so that they share texts."""
    slots = _choices(test, template)
    size = math.prod(len(words) for _, words in slots)
    filled = []
    for number in random.Random(f"{seed}:{template}").sample(range(size), min(size, count)):
        chosen = {}
        for slot, words in slots:
            number, at = divmod(number, len(words))
            chosen[slot] = words[at]
        filled.append(chosen)
    return filled


def make_cases(test: BehaviourTest, count: int, seed: int) -> list[Case]:
    """Up to `count` different cases of a test, as evenly from its templates as they allow.

    Args:
        test: with all its word lists.
        count: at most; fewer where the templates and words give no more.
        seed: of all choices.
    """
    rng = random.Random(f"{seed}:{test.name}")
    differences = _differences(test) or [("",)]
    drawn = [(template, _drawn(test, template, count, seed)) for template in test.templates]
    cases: dict[Case, None] = {}
    # Each filling with another difference before one comes again, the templates in turn.
    for turn, at in itertools.product(range(len(differences)), range(max(len(pool) for _, pool in drawn))):
        for offset, (template, pool) in enumerate(drawn):
            if at < len(pool):
                values = differences[(turn + at + offset) % len(differences)]
                case = tuple(_filled(test, template, pool[at], value) for value in values)
                if test.change:
                    case = (*case, CHANGES[test.change](case[0], rng))
                if len(case) == 1 or len(set(case)) > 1:
                    cases[case] = None
        if len(cases) >= count:
            break
    return list(cases)[:count]


@dataclass(frozen=True)
class Planned:
    """A test with its cases, and where in `Plan.texts` their texts are, [cases, texts of a case]."""

    test: BehaviourTest
    cases: list[Case]
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """All tests, and every different text as the service would give it to a model."""

    tests: list[Planned]
    texts: list[str]


def plan(tests: Sequence[BehaviourTest], count: int, seed: int) -> Plan:
    """Make all cases.

    Args:
        tests: of `read_suite`.
        count: cases of a test at most.
        seed: of all choices.

    Raises:
        TicketSentimentError: a test makes no case, because its change leaves every text as it is.
    """
    index: dict[str, int] = {}
    planned = []
    for test in tests:
        cases = make_cases(test, count, seed)
        if not cases:
            raise TicketSentimentError(
                f"test {test.name} makes no case: nothing in its templates can differ. Write others, or "
                "give it another change (data/behaviour.yaml; docs/behaviour.md)"
            )
        rows = [[index.setdefault(canonical(clean(text)), len(index)) for text in case] for case in cases]
        planned.append(Planned(test, cases, np.array(rows, dtype=np.int64)))
    return Plan(planned, list(index))
