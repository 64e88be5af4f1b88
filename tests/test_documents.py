"""What documents, messages and comments tell people to type is there."""

import re
from collections.abc import Iterator
from pathlib import Path

from ticket_sentiment.cli import parser

ROOT = Path(__file__).parents[1]
SPOKEN = (
    "*.md", "*.yaml", "Makefile", "docs/**/*.md", "src/**/*.py", "flows/**/*.py", "deploy/**/*.py",
)  # fmt: skip


def spoken() -> Iterator[tuple[str, str]]:
    """Each file that speaks to people: its name, and its text in one line."""
    for path in sorted({path for pattern in SPOKEN for path in ROOT.glob(pattern)}):
        yield path.relative_to(ROOT).as_posix(), " ".join(path.read_text(encoding="utf-8").split())


def test_every_command_that_is_named_exists():
    (commands,) = [action for action in parser()._actions if action.dest == "command" or action.choices]
    for name, text in spoken():
        named = set(re.findall(r"`ticket-sentiment ([a-z]+(?:-[a-z]+)*)", text))
        assert named <= set(commands.choices), f"{name} names a command that is not there"


def test_a_job_that_is_made_of_a_cronjob_has_a_namespace_and_a_name():
    """Without a name kubectl refuses, and without the namespace it looks for the CronJob elsewhere."""
    found = 0
    for name, text in spoken():
        for line in re.findall(r"kubectl\b[^`]*? create job --from=[^`)]*", text):
            assert re.match(r"kubectl -n \S+ create job --from=cronjob/[\w-]+ \w+", line), f"{name}: {line}"
            found += 1
    assert found >= 3
