import ast
import re
from pathlib import Path

import pytest
import yaml

from tests.support.params import FROZEN, LIVE, params_of_tests
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Params, Section, load_params

ROOT = Path(__file__).parents[1]


def written(tmp_path: Path, change) -> Path:
    raw = yaml.safe_load(FROZEN.read_text())
    change(raw)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def test_the_repository_s_own_file_is_valid():
    load_params(LIVE)


def keys(section: dict, model: type[Section], place: str = "") -> set[str]:
    """Keys of a file as a.b.c; not those in lists, of the kinds of a source, and those that a team names."""
    found = set()
    for name, field in model.model_fields.items():
        key = field.alias or name
        if key in section:
            found.add(f"{place}{key}")
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                found |= keys(section[key], field.annotation, f"{place}{key}.")
    return found


def test_the_settings_of_tests_have_the_keys_of_params_yaml_whatever_the_values():
    live, frozen = (keys(yaml.safe_load(path.read_text()), Params) for path in (LIVE, FROZEN))
    lacks = sorted(live - frozen)
    assert not lacks, f"tests/params.yaml lacks {', '.join(lacks)}: copy that from params.yaml"
    load_params(FROZEN)  # names a key that the code has not, any more


READ_LIVE = {  # whether it is valid, and whether what is made from it or follows it is up to date
    "tests/costs/test_prices.py",
    "tests/deploy/test_secrets.py",
    "tests/deploy/test_workflows.py",
    "tests/support/params.py",
    "tests/test_params.py",
    "tests/test_repository.py",
}


def test_no_test_depends_on_what_a_team_sets_in_params_yaml():
    """Its edits would turn `make ci` red."""
    reads = re.compile(r'load_params\(\)|(ROOT|REPOSITORY|ORIGINAL|parents\[\d\]\)?) / "params\.yaml"')
    for path in sorted((ROOT / "tests").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name not in READ_LIVE:
            found = reads.search(path.read_text())
            assert not found, f"{name} reads params.yaml ({found and found[0]}): take tests/support/params.py"


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
        (lambda p: p["train"].update(seed=-1), "train.seed: Input should be greater than or equal to 0"),
        (lambda p: p["labelling"].update(seed=2**32), "labelling.seed: Input should be less than"),
        (lambda p: p["search"].update(seeds=[-7]), "search.seeds.0: Input should be greater"),
        (lambda p: p["gate"].update(max_report_age_days=10**12), "gate.max_report_age_days: Input should"),
        (
            lambda p: p["validate"].update(max_text_chars=19_999),
            "validate.max_text_chars: the service answers tickets of serve.max_text_chars (20000)",
        ),
        (
            lambda p: p["serve"]["api_keys"].update(burst=63),
            "serve: Value error, api_keys.burst: a batch of max_batch_tickets (64) takes as many at once",
        ),
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
        (
            lambda p: p["events"].update(url="postgresql+psycopg://me:with/slash@db/events"),
            "events.url: Value error, holds a password",
        ),
        (lambda p: p["events"].update(keep_days=1_000_000), "events.keep_days: Input should be less than"),
        (lambda p: p["events"].update(keep_days=61), "events.keep_days: stage drift's live month looks 62"),
        (
            lambda p: (p["events"].update(keep_days=70), p["rollout"].update(maturity_hours=33 * 24)),
            "events.keep_days: the monitor's quality looks 71 days back",
        ),
        (
            lambda p: (p["events"].update(keep_days=80), p["labelling"].update(since_days=90)),
            "events.keep_days: labelling.since_days looks 90 days",
        ),
        (
            lambda p: p["monitor"].update(min_rows=3000),
            "monitor: Value error, min_rows: expected at most half",
        ),
        (lambda p: p["rollout"].update(max_days=float("inf")), "rollout.max_days: Input should be a finite"),
        (lambda p: p["rollout"].update(max_days=6.9), "rollout: Value error, max_days: expected at least 7"),
        (lambda p: p["rollout"]["hotfix"].update(max_days=0.3), "rollout.hotfix: Value error, max_days"),
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


def test_words_and_numbers_are_read_as_dvc_reads_them(tmp_path):
    text = FROZEN.read_text()
    for old, new in (
        ("learning_rate: 1.0e-4", "learning_rate: 1e-4"),
        ("feedback: optional", "feedback: off"),
        ("labels: {}", "labels: {no: negative, 1: positive, 2.5: neutral, unrated: null}"),
        ("language: en", "language: no"),
    ):
        assert f" {old}\n" in text
        text = text.replace(f" {old}\n", f" {new}\n", 1)
    (tmp_path / "params.yaml").write_text(text)
    params = load_params(tmp_path / "params.yaml")
    assert (params.train.learning_rate, params.tickets.feedback) == (1e-4, "off")
    assert params.tickets.labels == {"no": "negative", "1": "positive", "2.5": "neutral", "unrated": None}
    assert params.validate_.language == "no"


def test_a_section_that_is_there_twice_is_refused(tmp_path):
    (tmp_path / "params.yaml").write_text(FROZEN.read_text() + "\ntrain: {epochs: 1}\n")
    with pytest.raises(TicketSentimentError, match=r"params\.yaml line \d+: the key train is in line"):
        load_params(tmp_path / "params.yaml")


def test_nothing_can_be_changed_after_reading():
    params = params_of_tests()
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

    apart(params_of_tests())
