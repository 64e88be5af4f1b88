"""What a behavioural test is: a few lines of YAML, ours in suite/, a team's own in data/behaviour.yaml.

The kinds and the idea are CheckList's (Ribeiro et al. 2020, "Beyond Accuracy", arXiv:2005.04118).
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ticket_sentiment.behaviour.changes import CHANGES
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Label
from ticket_sentiment.yaml_files import read_yaml

SUITE = Path(__file__).parent / "suite"
WORDS = SUITE / "words.yaml"
OWN = Path("data/behaviour.yaml")

Kind = Literal["minimum", "invariance", "directional", "fairness", "robustness"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Texts = Annotated[list[str], Field(min_length=1)]
Words = dict[Annotated[str, Field(pattern=r"^[a-z_]+$")], Texts]

SLOT = re.compile(r"\{(\w*)\}")
WAYS = ("change", "vary", "before", "after")
NEEDED = {  # of each kind: keys that must be there, and how many of WAYS
    "minimum": (("expect",), 0),
    "invariance": ((), 1),
    "directional": (("toward",), 1),
    "fairness": (("groups", "vary"), 1),
    "robustness": ((), 1),
}
OF_ONE_KIND = {"expect": "minimum", "toward": "directional", "groups": "fairness"}


class BehaviourTest(BaseModel):
    """One test: texts, and what is expected of the answers.

    A template's `{slot}` is filled from `words`, else from the lists in suite/words.yaml. `change`, `vary`,
    `before` and `after` make the second text of a pair: a function of `changes`, another value of the slot
    (the first value is the base), a sentence put in front or behind.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Name
    kind: Kind
    capability: str = Field(min_length=1)
    templates: Texts
    words: Words = {}
    expect: list[Label] = []  # minimum: any of them is right
    toward: Label | None = None  # directional: whose probability must not fall
    change: str | None = None
    vary: str | None = None
    before: list[str] = []
    after: list[str] = []
    groups: dict[str, Texts] = {}  # fairness: values of the slot `vary`, by group, as many of each
    diagnosis: bool = False  # shown, never decides
    max_failure_rate: float | None = Field(default=None, ge=0, le=1)  # a person decides above

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        keys, ways = NEEDED[self.kind]
        missing = next((key for key in keys if not getattr(self, key)), None)
        if missing:
            raise ValueError(f"{missing}: a test of kind {self.kind} needs it")
        stray = next(
            (key for key, kind in OF_ONE_KIND.items() if getattr(self, key) and kind != self.kind), None
        )
        if stray:
            raise ValueError(f"{stray}: only for kind {OF_ONE_KIND[stray]}, this is {self.kind}; take it out")
        given = [way for way in WAYS if getattr(self, way)]
        if len(given) != ways:
            wanted = "exactly one of " + ", ".join(WAYS) if ways else f"none of {', '.join(WAYS)}"
            raise ValueError(f"{given[-1] if given else WAYS[0]}: kind {self.kind} takes {wanted}")
        if self.kind == "fairness" and given != ["vary"]:
            raise ValueError(f"{given[0]}: kind fairness takes vary, the slot that the groups fill")
        if self.change is not None and self.change not in CHANGES:
            raise ValueError(f"change: {self.change} is not known (known: {', '.join(CHANGES)})")
        if self.groups and (len(self.groups) < 2 or len(set(map(len, self.groups.values()))) > 1):
            raise ValueError("groups: expected at least two groups with as many values each")
        if self.vary and any(self.vary not in SLOT.findall(template) for template in self.templates):
            raise ValueError(f"vary: every template must hold the slot {{{self.vary}}}")
        return self


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    words: Words = {}
    tests: list[BehaviourTest] = []


def _problem(path: Path, raw: Any, error: ValidationError) -> TicketSentimentError:
    """The first problem with file, test and key."""
    first = error.errors(include_url=False)[0]
    where, message = [str(part) for part in first["loc"]], first["msg"].removeprefix("Value error, ")
    test = ""
    if where[:1] == ["tests"] and len(where) > 1:
        entry = raw["tests"][int(where[1])]
        name = entry.get("name") if isinstance(entry, dict) else None
        test, where = f"test {name or 'number ' + str(int(where[1]) + 1)}: ", where[2:]
    if first["type"] == "extra_forbidden":
        known = (_File if not test else BehaviourTest).model_fields
        message = f"is not a known key (known: {', '.join(known)})"
    key = ".".join(where) + ": " if where else ""
    return TicketSentimentError(f"{path}: {test}{key}{message}. Correct it: docs/behaviour.md")


def read_file(path: Path) -> _File:
    """One file of word lists and tests.

    Raises:
        TicketSentimentError: it is no YAML, has a key twice, or a test is not as it should be; the message
            names file, test, key and remedy.
    """
    raw = read_yaml(path, "correct it (docs/behaviour.md)") or {}
    try:
        return _File.model_validate(raw)
    except ValidationError as error:
        raise _problem(path, raw, error) from None


def _require_words(path: Path, test: BehaviourTest) -> None:
    used = [slot for template in test.templates for slot in SLOT.findall(template)]
    for slot in used:
        if slot not in test.words and not (test.groups and slot == test.vary):
            raise TicketSentimentError(
                f"{path}: test {test.name}: templates: {{{slot}}} is no known word list "
                f"(known: {', '.join(sorted(test.words))}). Add it under words"
            )
    for key, texts in (
        ("before", test.before),
        ("after", test.after),
        *((f"words.{slot}", test.words.get(slot, [])) for slot in dict.fromkeys(used)),
        *((f"groups.{group}", texts) for group, texts in test.groups.items()),
    ):
        if unfilled := next((text for text in texts if SLOT.search(text)), None):
            raise TicketSentimentError(
                f"{path}: test {test.name}: {key}: {unfilled!r} holds a slot, and only templates are filled. "
                "Write it out"
            )
    if test.vary and not test.groups and len(test.words[test.vary]) < 2:
        raise TicketSentimentError(
            f"{path}: test {test.name}: vary: the word list {test.vary} has one entry. Add another to it"
        )


def read_suite(own: Path = OWN) -> list[BehaviourTest]:
    """Ours and then, where its file is there, the team's own tests; each with all word lists in it.

    Raises:
        TicketSentimentError: as `read_file`, or a slot has no words, or a name is there twice.
    """
    common = read_file(WORDS).words
    tests: dict[str, BehaviourTest] = {}
    for path in [*sorted(set(SUITE.glob("*.yaml")) - {WORDS}), *([own] if own.is_file() else [])]:
        read = read_file(path)
        for test in read.tests:
            if test.name in tests:
                raise TicketSentimentError(f"{path}: test {test.name} is there twice. Give one another name")
            whole = test.model_copy(update={"words": common | read.words | test.words})
            _require_words(path, whole)
            tests[test.name] = whole
    return list(tests.values())
