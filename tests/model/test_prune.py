from dataclasses import replace

import pytest

from tests.support.frontier import frontier_point
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json
from ticket_sentiment.model import prune
from ticket_sentiment.model.compact import load_compact
from ticket_sentiment.model.embedding import ProductEmbedding
from ticket_sentiment.model.frontier import write_frontier
from ticket_sentiment.model.prune import main
from ticket_sentiment.model.train import main as train


def ladder(params, *names_and_speeds):
    write_frontier(
        [
            frontier_point(name=name, ms=ms, base_model=params.train.base_model)
            for name, ms in names_and_speeds
        ]
    )


def budget(params, **changes):
    return params.model_copy(update={"budget": params.budget.model_copy(update=changes)})


def attempts(root):
    return read_json(root / "models/pruned/pruning.json")["attempts"]


def test_the_stage_writes_a_smaller_model_that_still_knows_the_answers(workspace, small_params):
    train(small_params)
    main(small_params)
    pruned = load_compact(workspace / "models/pruned")
    assert (pruned.config.layers, pruned.config.heads, pruned.config.ffn) == (2, (2, 2), (32, 32))
    assert pruned.config.positions == 24
    assert isinstance(pruned.words, ProductEmbedding)
    (only,) = attempts(workspace)
    assert only["inside_budget"]
    assert only["shape"] == "2x2x32-e8"
    curve = (workspace / "reports/training/distillation_curve.csv").read_text().splitlines()
    assert curve[0] == "step,train_loss,loss,macro_f1"
    assert max(float(line.split(",")[3]) for line in curve[1:]) > 0.8


def test_the_cheapest_shape_is_tried_first_and_the_first_inside_the_budget_is_taken(
    workspace, small_params, monkeypatch
):
    train(small_params)
    ladder(small_params, ("dear", 3.0), ("cheap", 1.0), ("middle", 2.0))
    real = prune.attempt

    def measured(name, *rest):
        found = real(name, *rest)
        return found if name != "cheap" else type(found)(name, 0.9, found.mb, inside_budget=False)

    monkeypatch.setattr(prune, "attempt", measured)
    main(small_params)
    assert [item["shape"] for item in attempts(workspace)] == ["cheap", "middle"]


@pytest.mark.parametrize("change", [{"tries": 0}, {"max_loss": 0.0}, {"max_mb": 0.001}])
def test_a_budget_that_no_point_meets_gives_the_dense_model_and_says_so(workspace, small_params, change):
    train(small_params)
    main(budget(small_params, **change))
    pruned = load_compact(workspace / "models/pruned")
    assert (pruned.config.layers, pruned.config.ffn) == (3, (64, 64, 64))
    assert [item["shape"] for item in attempts(workspace)] == ["dense"]
    assert not attempts(workspace)[0]["inside_budget"]


def test_when_no_try_stays_inside_the_dense_model_goes_on(workspace, small_params, monkeypatch):
    train(small_params)
    ladder(small_params, ("a", 1.0), ("b", 2.0), ("c", 3.0))
    real = prune.attempt
    monkeypatch.setattr(prune, "attempt", lambda *args: replace(real(*args), inside_budget=False))
    main(budget(small_params, tries=2))
    assert [item["shape"] for item in attempts(workspace)] == ["a", "b", "dense"]


@pytest.mark.parametrize(
    ("tries", "names"), [(0, ""), (1, "d"), (2, "ad"), (3, "abd"), (4, "abcd"), (9, "abcd")]
)
def test_the_last_try_is_the_most_accurate_shape(tries, names):
    losses = {"a": 0.009, "b": 0.008, "c": 0.007, "d": 0.001}
    points = [frontier_point(name=name, tune_loss=loss) for name, loss in losses.items()]
    assert "".join(point.name for point in prune.to_try(points, tries)) == names


def test_a_missing_frontier_is_named_before_anything_is_learnt(workspace, small_params):
    train(small_params)
    (workspace / "models/frontier/frontier.csv").unlink()
    with pytest.raises(TicketSentimentError, match=r"frontier\.csv is missing: fetch it again from git"):
        main(small_params)
    assert not (workspace / "models/pruned").exists()
