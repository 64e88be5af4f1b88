import ast
from pathlib import Path

import pytest
import yaml

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Params, Section, load_params

ROOT = Path(__file__).parents[1]


def written(tmp_path: Path, change) -> Path:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    change(raw)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def test_the_repository_s_own_file_is_valid():
    assert load_params(ROOT / "params.yaml").train.base_model.startswith("package:")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda p: p["train"].update(epoch=3), "train.epoch: is not a known key"),
        (lambda p: p.update(trian={}), "trian: is not a known key"),
        (lambda p: p["tickets"]["source"].update(month=3), "month: is not a known key"),
        (lambda p: p["train"].update(epochs="three"), "train.epochs: Input should be a valid integer"),
        (lambda p: p["train"].update(epochs=2.5), "train.epochs"),
        (lambda p: p["train"].update(epochs=True), "train.epochs"),
        (lambda p: p["train"].update(epochs=0), "train.epochs"),
        (lambda p: p["gate"].update(min_macro_f1=55), "gate.min_macro_f1"),
        (lambda p: p["prune"].pop("effort"), "prune.effort: Field required"),
        (lambda p: p["search"]["more_seeds"].update(big=[3]), "more_seeds: Value error, big is none of"),
        (lambda p: p["search"]["more_seeds"].update({"4x12x1024-e96": [7]}), "7 is there twice"),
        (lambda p: p.pop("gate"), "gate: Field required"),
        (lambda p: p["tickets"].update(source={"kind": "ftp"}), "tickets.source"),
        (lambda p: p["rollout"].update(alpha=0.5), "rollout.alpha"),
        (lambda p: p["rollout"]["steps"][0].update(share=0.1), "rollout.steps: Value error, the first step"),
        (lambda p: p["rollout"]["steps"][2].update(share=0.05), "each later share is above the one before"),
        (lambda p: p["rollout"]["steps"][3].update(share=1.0), "rollout.steps.3.share"),
        (lambda p: p["rollout"]["hotfix"].update(steps=[]), "rollout.hotfix.steps"),
        (lambda p: p["rollout"]["hotfix"].update(alpha=0.2), "rollout.hotfix.alpha: is not a known key"),
        (lambda p: p["tickets"].update(labels={"bad": "negativ"}), "tickets.labels.bad"),
        (lambda p: p["tickets"].update(feedback="maybe"), "tickets.feedback"),
        (
            lambda p: p["registry"].update(tracking_uri="postgresql://mlflow:pw@db/mlflow"),
            "registry.tracking_uri: Value error, holds a password: put the URL in the variable MLFLOW",
        ),
        (lambda p: p["prepare"].update(label_sources=["a", "b", "a"]), "prepare.label_sources: "),
        (
            lambda p: p["labelling"]["quotas"].update(audit=0.9),
            "labelling.quotas: Value error, the shares add",
        ),
        (
            lambda p: p["rollout"].update(audit_salt="ß" * 33),
            "rollout.audit_salt: Value error, is longer",
        ),
        (lambda p: p["rollout"].update(audit_share=0), "rollout.audit_share"),
    ],
)
def test_a_bad_key_or_value_is_named_with_the_file(tmp_path, change, named):
    with pytest.raises(TicketSentimentError) as caught:
        load_params(written(tmp_path, change))
    assert named in str(caught.value)
    assert "params.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_broken_yaml_are_named(tmp_path):
    with pytest.raises(TicketSentimentError, match=r"params\.yaml is missing: run from the repo"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("train: [1,\n")
    with pytest.raises(TicketSentimentError, match=r"is not valid YAML"):
        load_params(tmp_path / "params.yaml")


def test_nothing_can_be_changed_after_reading():
    params = load_params(ROOT / "params.yaml")
    with pytest.raises(ValueError, match="frozen"):
        params.train.epochs = 3


def sections(model: type[Section]) -> set[str]:
    """Names of all keys, of the sources too."""
    names = set()
    for kind in [model, *Section.__subclasses__()]:
        for name, field in kind.model_fields.items():
            if not (isinstance(field.annotation, type) and issubclass(field.annotation, Section)):
                names.add(name)
    return names


def test_every_key_is_read_somewhere():
    read = set()
    for path in (path for room in ("src", "flows", "deploy") for path in (ROOT / room).rglob("*.py")):
        if path.parent.name == "params":
            continue
        tree = ast.parse(path.read_text())
        read |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert sections(Params) - read - {"source", "kind"} == set()


def test_every_section_can_be_taken_apart():
    """Prefect calls dict() on what a task gets: a field named `keys` would stand in the way of that."""

    def apart(section):
        for value in dict(section).values():
            if isinstance(value, Section):
                apart(value)

    apart(load_params(ROOT / "params.yaml"))
