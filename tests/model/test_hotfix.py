import shutil

import numpy as np
import pytest
import torch
from torch import nn

from tests.model.conftest import write_table
from ticket_sentiment.files import read_json, sha256_tree
from ticket_sentiment.model.classifier import load_dense, load_tokenizer, predict_logits
from ticket_sentiment.model.compact import load_compact
from ticket_sentiment.model.data import LabelledTexts, read_texts
from ticket_sentiment.model.distill import TeacherAnswers
from ticket_sentiment.model.hotfix import go_back, main_dense, main_pruned, mixed, replayed, with_labels
from ticket_sentiment.model.prune import main as prune
from ticket_sentiment.model.train import main as train

# Whatever a champion that has learnt single words says of "perfect refund" and the like is not what is meant.
MISTAKES = [f"{word} refund {end}" for word in ("perfect", "great", "lovely") for end in ("today", "parcel")]


@pytest.fixture
def champion(workspace, small_params):
    """A trained and pruned champion, and corrections of what it gets wrong."""
    train(small_params)
    prune(small_params)
    for name in ("dense", "pruned"):
        shutil.copytree(workspace / "models" / name, workspace / "champion" / name)
    said = answers(load_compact(workspace / "champion/pruned"), workspace / "champion/pruned", MISTAKES)
    meant = 2 if (said == 0).mean() > 0.5 else 0
    corrected = LabelledTexts(MISTAKES, np.full(len(MISTAKES), meant, dtype=np.int64))
    write_table(workspace / "data/prepared/corrected.parquet", corrected)
    write_table(workspace / "data/prepared/earlier.parquet", LabelledTexts([], np.zeros(0, dtype=np.int64)))
    changes = {"learning_rate": 2.0e-3, "epochs": 4, "replay_rows": 120, "batch_size": 16}
    return small_params.model_copy(update={"hotfix": small_params.hotfix.model_copy(update=changes)})


def answers(model, folder, texts) -> np.ndarray:
    return predict_logits(model, load_tokenizer(folder), texts, 24, 64).argmax(axis=1)


def right(model, folder, table) -> float:
    return float(np.mean(answers(model, folder, table.texts) == table.labels))


def test_both_models_learn_the_corrections_and_keep_the_rest(workspace, champion):
    corrected, holdout = read_texts("corrected"), read_texts("holdout")
    before = load_compact(workspace / "champion/pruned")
    assert right(before, workspace / "champion/pruned", corrected) < 0.5
    main_dense(champion)
    main_pruned(champion)
    dense, pruned = load_dense(workspace / "models/dense"), load_compact(workspace / "models/pruned")
    for name, model in (("dense", dense), ("pruned", pruned)):
        assert right(model, workspace / "models" / name, corrected) >= champion.hotfix.aim
    was = right(before, workspace / "champion/pruned", holdout)
    assert right(pruned, workspace / "models/pruned", holdout) > was - 0.1
    assert pruned.config == before.config
    facts = read_json(workspace / "models/pruned/pruning.json")
    assert facts["layers"] == read_json(workspace / "champion/pruned/pruning.json")["layers"]
    assert [one["shape"] for one in facts["attempts"]] == ["2x2x32-e8"]
    old, new = (read_json(workspace / name / "dense/training.json") for name in ("champion", "models"))
    assert old.keys() == new.keys() and old["parameters"] == new["parameters"]
    for curve in ("learning", "distillation"):
        lines = (workspace / f"reports/training/{curve}_curve.csv").read_text().splitlines()
        assert len(lines) == 1 + champion.hotfix.epochs
    assert sha256_tree(workspace / "champion/dense") != sha256_tree(workspace / "models/dense")


def test_the_same_corrections_give_the_same_weights(workspace, champion):
    main_dense(champion)
    main_pruned(champion)
    first = {name: sha256_tree(workspace / "models" / name) for name in ("dense", "pruned")}
    main_dense(champion)
    main_pruned(champion)
    assert {name: sha256_tree(workspace / "models" / name) for name in first} == first


def test_what_was_corrected_earlier_is_among_what_is_replayed(workspace, champion):
    write_table(workspace / "data/prepared/earlier.parquet", LabelledTexts(["as before"], np.array([1])))
    texts = replayed(champion)
    assert len(texts) == champion.hotfix.replay_rows + 1
    assert texts[-1] == "as before"
    assert texts == replayed(champion)


def test_labels_take_the_place_of_answers_and_nothing_else_changes():
    given = TeacherAnswers(torch.randn(3, 3), torch.zeros(3, 1, 4))
    found = with_labels(given, np.array([-1, 2, -1]))
    assert found.logits[1].argmax() == 2 and torch.softmax(found.logits[1] / 2, 0)[2] > 0.95
    assert torch.equal(found.logits[[0, 2]], given.logits[[0, 2]])


class Threshold(nn.Module):
    """Answers 0 to a row of ids above its one weight, else 2."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([value]))

    def forward(self, input_ids, attention_mask):
        above = (input_ids[:, 0].float() > self.weight).float()
        return torch.stack([above, torch.full_like(above, -1.0), 1 - above], dim=1)


@pytest.mark.parametrize(("wanted", "share"), [(0.5, 0.5), (1.0, 1.0), (0.0, 0.05)])
def test_the_change_is_gone_back_as_far_as_enough_is_right(wanted, share):
    before, after = Threshold(10.5), Threshold(0.5)
    rows, labels = [[6], [1]], np.zeros(2)
    found = go_back(after, before.state_dict(), rows, labels, wanted)
    assert found == pytest.approx(share)
    assert after.weight.item() == pytest.approx(10.5 - 10 * share)


def test_rows_that_were_right_before_are_not_what_is_aimed_at():
    before, after = Threshold(10.5), Threshold(0.5)
    rows = [[20]] * 19 + [[6]]  # 95 % are right without any change
    assert go_back(after, before.state_dict(), rows, np.zeros(20), 0.95) == pytest.approx(0.5)
    assert after.weight.item() == pytest.approx(5.5)


def test_what_the_change_spoils_counts_too():
    rows, labels = [[2], [3]], np.array([0, 2])  # what mends the second breaks the first
    for wanted, share in ((0.5, 0.25), (1.0, 1.0)):
        before, after = Threshold(0.7), Threshold(10.7)
        assert go_back(after, before.state_dict(), rows, labels, wanted) == pytest.approx(share)


def test_where_nothing_was_wrong_the_whole_change_stays():
    after = Threshold(0.5)
    assert go_back(after, Threshold(10.5).state_dict(), [[20]], np.zeros(1), 0.95) == 1.0
    assert after.weight.item() == pytest.approx(0.5)


def test_where_it_is_never_enough_the_whole_change_stays():
    after = Threshold(0.5)
    assert go_back(after, Threshold(10.5).state_dict(), [[6], [0]], np.zeros(2), 1.0) == 1.0
    assert after.weight.item() == pytest.approx(0.5)


def test_codes_are_not_mixed():
    before = {"codes": torch.tensor([1, 2]), "weight": torch.tensor([0.0])}
    after = {"codes": torch.tensor([3, 4]), "weight": torch.tensor([1.0])}
    found = mixed(before, after, 0.25)
    assert found["codes"].tolist() == [1, 2] and found["weight"].item() == 0.25
