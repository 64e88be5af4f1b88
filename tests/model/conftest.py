from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from tests.support.frontier import frontier_point
from tests.support.params import params_file
from tests.support.tiny_model import make_tiny_base, tiny_texts
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.data import LabelledTexts
from ticket_sentiment.model.frontier import write_frontier
from ticket_sentiment.params import Params, load_params


def write_table(path: Path, texts: LabelledTexts) -> None:
    labels = [LABELS[label] if label >= 0 else None for label in texts.labels]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": texts.texts, "label": pa.array(labels, pa.string())}), path)


@pytest.fixture
def small_params(tmp_path: Path) -> Params:
    """The repository's params.yaml, with a tiny base model and little work."""
    raw = yaml.safe_load(params_file().read_text())
    raw["train"] |= {
        "base_model": str(make_tiny_base(tmp_path / "base")),
        "epochs": 3,
        "batch_size": 16,
        "learning_rate": 5.0e-3,
        "embedding_learning_rate": 5.0e-3,
        "max_length": 24,
    }
    raw["prune"] |= {"effort": 2.0, "batch_size": 32, "learning_rate": 5.0e-3}
    raw["budget"] |= {"max_loss": 0.2, "margin": 0.0}
    shapes = [{"layers": 2, "heads": 2, "ffn": 32, "embedding_bytes": size} for size in (0, 8)]
    raw["search"] = {"seeds": [1, 2], "workers": 2, "shapes": shapes, "more_seeds": {}}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    return load_params(path)


@pytest.fixture
def workspace(tmp_path: Path, small_params: Params, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with prepared tickets and a measured frontier, as the current directory."""
    monkeypatch.chdir(tmp_path)
    for seed, (name, rows) in enumerate({"train": 240, "tune": 60, "holdout": 60}.items()):
        write_table(tmp_path / f"data/prepared/{name}.parquet", tiny_texts(rows, seed))
    write_frontier([frontier_point(base_model=small_params.train.base_model)])
    unlabelled = tiny_texts(20, 9)
    write_table(
        tmp_path / "data/prepared/unlabelled.parquet",
        LabelledTexts(unlabelled.texts, unlabelled.labels * 0 - 1),
    )
    return tmp_path


@pytest.fixture(autouse=True)
def _ordinary_torch():
    """Stages switch determinism on; a test leaves torch as it found it."""
    yield
    torch.use_deterministic_algorithms(False)
