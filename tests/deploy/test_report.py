"""The comment under a pull request, made by DVC from two commits of a small repository."""

import json
from pathlib import Path

import pytest

from deploy.ci import report as module
from deploy.ci.report import report
from tests.support.project import git
from ticket_sentiment.errors import TicketSentimentError

DVC_YAML = """stages:
  report:
    cmd: "true"
    params: [train]
    metrics:
      - reports/metrics.json: {cache: false}
plots:
  - reports/evaluation/confusion.csv: {x: actual, y: predicted, template: confusion}
"""
CONFUSION = "actual,predicted\nnegative,negative\nnegative,neutral\npositive,positive\n"


def write(root: Path, **files: str) -> None:
    names = {
        "metrics": "reports/metrics.json", "gate": "reports/gate.json", "params": "params.yaml",
        "dvc": "dvc.yaml",
        "confusion": "reports/evaluation/confusion.csv", "curve": "reports/training/learning_curve.csv",
    }  # fmt: skip
    for name, text in files.items():
        path = root / names[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def gate(decision: str, digest: str) -> str:
    return json.dumps(
        {"decision": decision, "bundle_digest": digest * 64, "reasons": ["The first.", "The second."]}
    )


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a model that was judged, all in git."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (tmp_path / ".gitignore").write_text("/var/\n/.dvc/tmp\n")
    write(
        tmp_path,
        dvc=DVC_YAML,
        params="train: {epochs: 2}\n",
        metrics='{"macro_f1": 0.7, "size_mb": 9.0}',
        gate=gate("pass", "a"),
        confusion=CONFUSION,
        curve="step,train_loss,loss,macro_f1\n5,0.8,0.9,0.5\n9,0.6,0.7,0.6\n",
    )
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "before")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_change_that_leaves_the_model_alone_says_so(repository: Path) -> None:
    text = report("HEAD")
    assert f"The model is unchanged: **pass**, bundle `{'a' * 12}`." in text
    assert text.count("None changed.") == 2
    assert "mermaid" not in text
    assert "Answers on the holdout" not in text


def test_a_retraining_shows_decision_metrics_params_answers_and_curves(repository: Path) -> None:
    write(
        repository,
        params="train: {epochs: 3}\n",
        metrics='{"macro_f1": 0.75, "size_mb": 9.0}',
        gate=gate("review", "b"),
        confusion=CONFUSION.replace("negative,neutral", "negative,negative"),
        curve="step,train_loss,loss,macro_f1\n5,0.8,0.9,0.55\n9,0.6,0.7,0.65\n",
    )
    text = report("HEAD")
    assert f"The gate says **review** (before: pass) to bundle `{'b' * 12}`." in text
    assert "- The second." in text
    (row,) = [line for line in text.splitlines() if "| macro_f1" in line]
    assert [cell.strip() for cell in row.split("|")[3:6]] == ["0.7", "0.75", "0.05"]
    assert "size_mb" not in text
    assert "train.epochs" in text
    assert "| negative | 2 (1) | 0 (1) | 0 (0) |" in text
    assert "  line [0.5000, 0.6000]\n  line [0.5500, 0.6500]\n" in text
    assert '  x-axis "batches" 5 --> 9\n' in text


def test_the_first_model_and_another_holdout_have_nothing_to_be_compared_with(repository: Path) -> None:
    write(repository, confusion=f"{CONFUSION}neutral,neutral\n", gate=gate("pass", "b"))
    text = report("HEAD")
    assert "before in brackets" not in text
    assert "| neutral | 0 | 1 | 0 |" in text


def test_it_is_written_with_all_plots_beside_it(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASE", "HEAD")
    (repository / "reports/gate.json").unlink()
    module.main()
    assert "No model was judged here" in module.OUT.read_text()
    assert "negative" in (module.PLOTS / "index.html").read_text()


def test_a_commit_that_is_not_here_is_said(repository: Path) -> None:
    for name in ("origin/main", "--upload-pack=x", "0" * 40):
        with pytest.raises(TicketSentimentError, match="this clone has no commit"):
            report(name)
