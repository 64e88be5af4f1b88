import json

import pandas as pd
import pytest

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import sha256_file, sha256_tree, write_json
from ticket_sentiment.tickets import prepare
from ticket_sentiment.tickets.privacy import dedup_key
from ticket_sentiment.tickets.schema import COLUMNS, read_tickets, write_tickets


@pytest.fixture
def tickets(month):
    return pd.concat([month(f"2026-0{number}") for number in (1, 2, 3, 4)], ignore_index=True)


def _set(frame, index, **values):
    for column, value in values.items():
        frame.loc[index, column] = value


def _in(frame, name):
    return frame.index[frame["created_at"].dt.strftime("%Y-%m") == name]


def test_the_newest_month_is_the_holdout(tickets, sizes):
    parts, months, dropped = prepare.split(tickets, sizes)
    assert months == {"train": ["2026-01", "2026-02"], "tune": ["2026-03"], "holdout": ["2026-04"]}
    assert set(parts["holdout"]["created_at"].dt.month) == {4}
    assert set(parts["tune"]["created_at"].dt.month) == {3}
    assert set(parts["train"]["created_at"].dt.month) == {1, 2}
    assert len(parts["unlabelled"]) == 0
    assert list(parts["train"].columns) == list(COLUMNS)
    assert sum(map(len, parts.values())) + sum(dropped.values()) == len(tickets)


def test_months_before_the_training_ones_give_their_texts_and_not_their_labels(tickets, sizes):
    parts, months, dropped = prepare.split(tickets, sizes.model_copy(update={"train_months": 1}))
    assert months["train"] == ["2026-02"]
    assert len(parts["unlabelled"]) == 120
    assert set(parts["unlabelled"]["created_at"].dt.month) == {1}
    assert parts["unlabelled"]["label"].isna().all()
    assert sum(map(len, parts.values())) + sum(dropped.values()) == len(tickets)


def test_the_newest_month_of_the_holdout_has_to_stand_for_itself(tickets, sizes):
    """Stage drift judges it alone, after the training."""
    late = _in(tickets, "2026-04")[20:]
    with pytest.raises(TicketSentimentError, match="2026-04, the newest month of split holdout, has 20 "):
        prepare.split(tickets.drop(index=late), sizes.model_copy(update={"holdout_months": 2}))


def test_of_equal_texts_the_earliest_stays(tickets, sizes):
    first, second = _in(tickets, "2026-01")[:2]
    _set(tickets, second, text=tickets.loc[first, "text"].upper() + "!!", label=tickets.loc[first, "label"])
    parts, _, dropped = prepare.split(tickets, sizes)
    assert dropped["duplicate"] == 1
    assert tickets.loc[first, "ticket_id"] in set(parts["train"]["ticket_id"])
    assert tickets.loc[second, "ticket_id"] not in set(parts["train"]["ticket_id"])


def test_equal_texts_with_two_labels_go_altogether(tickets, sizes):
    first, second = _in(tickets, "2026-04")[:2]
    _set(tickets, first, text="same thing", label="positive")
    _set(tickets, second, text="Same thing.", label="negative")
    parts, _, dropped = prepare.split(tickets, sizes)
    assert dropped["conflict"] == 2
    assert not {tickets.loc[first, "ticket_id"], tickets.loc[second, "ticket_id"]} & set(
        parts["holdout"]["ticket_id"]
    )


def test_no_text_is_on_two_sides_and_the_later_side_keeps_it(tickets, sizes):
    early, middle, late = (_in(tickets, name)[0] for name in ("2026-01", "2026-03", "2026-04"))
    for index, label in ((early, "negative"), (middle, "positive"), (late, "positive")):
        _set(tickets, index, text="word for word", label=label)
    parts, _, dropped = prepare.split(tickets, sizes)
    assert dropped["text_in_later_split"] == 2
    keys = {name: {dedup_key(text) for text in part["text"]} for name, part in parts.items()}
    assert "word for word" in keys["holdout"]
    assert (
        not keys["train"] & keys["holdout"]
        and not keys["train"] & keys["tune"]
        and not keys["tune"] & keys["holdout"]
    )


def test_the_model_learns_and_is_judged_without_greetings_and_signatures(tickets, sizes):
    """As the service reads them: equal but for those, two tickets are one."""
    early, late = _in(tickets, "2026-01")[0], _in(tickets, "2026-04")[0]
    _set(tickets, early, text="Hello team, it broke again. Kind regards, Anna Smith")
    _set(tickets, late, text="Dear support: it broke again.")
    parts, _, dropped = prepare.split(tickets, sizes)
    assert dropped["text_in_later_split"] == 1
    assert "it broke again." in set(parts["holdout"]["text"])
    assert not parts["holdout"]["text"].str.startswith("Dear").any()


def test_no_customer_is_on_two_sides_and_the_later_side_keeps_him(tickets, sizes):
    for name in ("2026-01", "2026-03", "2026-04"):
        _set(tickets, _in(tickets, name)[:2], customer_id="regular")
    parts, _, dropped = prepare.split(tickets, sizes)
    assert dropped["customer_in_later_split"] == 4
    assert (parts["holdout"]["customer_id"] == "regular").sum() == 2
    assert "regular" not in set(parts["train"]["customer_id"]) | set(parts["tune"]["customer_id"])


def test_customers_may_be_shared_where_params_say_so_and_texts_may_not(tickets, sizes):
    shared = sizes.model_copy(update={"customers": "shared"})
    for name in ("2026-01", "2026-03", "2026-04"):
        _set(tickets, _in(tickets, name)[:2], customer_id="regular")
    for name in ("2026-01", "2026-04"):
        _set(tickets, _in(tickets, name)[0], text="word for word", label="negative")
    parts, _, dropped = prepare.split(tickets, shared)
    assert (dropped["customer_in_later_split"], dropped["text_in_later_split"]) == (0, 1)
    regular = {name: int((part["customer_id"] == "regular").sum()) for name, part in parts.items()}
    assert regular == {"train": 1, "tune": 2, "holdout": 2, "unlabelled": 0}


@pytest.mark.parametrize("missing", ["rows", "a class"])
def test_customers_who_write_every_month_are_named_as_the_cause(tickets, sizes, missing):
    """The remedy is not more tickets: all of theirs are in the newest month."""
    regulars = tickets.groupby(tickets["created_at"].dt.month).cumcount()
    kept = (tickets["label"] != "neutral") if missing == "a class" else pd.Series(False, tickets.index)
    early = tickets["created_at"].dt.month < 4
    tickets["customer_id"] = [
        ticket if alone else f"regular-{number}"
        for ticket, alone, number in zip(tickets["ticket_id"], kept & early, regulars, strict=True)
    ]
    with pytest.raises(
        TicketSentimentError,
        match=r"split train .*\(\d+ were left out because their customers also wrote in a later split\): "
        r"let customers be in several splits \(prepare\.customers: shared\)",
    ):
        prepare.split(tickets, sizes)
    parts, _, _ = prepare.split(tickets, sizes.model_copy(update={"customers": "shared"}))
    assert len(parts["train"]) > 200


def test_tickets_without_customer_are_no_group(tickets, sizes):
    tickets["customer_id"] = None
    parts, _, dropped = prepare.split(tickets, sizes)
    assert dropped["customer_in_later_split"] == 0
    assert len(parts["holdout"]) > 100


def test_unlabelled_tickets_of_training_months_are_kept_apart(tickets, sizes):
    early, late = _in(tickets, "2026-01")[:5], _in(tickets, "2026-04")[:3]
    _set(tickets, [*early, *late], label=None)
    _set(tickets, early[0], text=tickets.loc[late[2] + 1, "text"])
    _set(tickets, early[1], customer_id=tickets.loc[late[2] + 1, "customer_id"])
    parts, _, dropped = prepare.split(tickets, sizes)
    assert set(parts["unlabelled"]["ticket_id"]) == set(tickets.loc[early[2:], "ticket_id"])
    assert parts["unlabelled"]["label"].isna().all()
    assert dropped["unlabelled_late"] == 3


def test_of_very_many_tickets_without_a_label_the_newest_stay(tickets, sizes):
    rows = _in(tickets, "2026-01")
    _set(tickets, rows, label=None)
    few = sizes.model_copy(update={"max_unlabelled": 20})
    (whole, _, _), (some, _, dropped) = prepare.split(tickets, sizes), prepare.split(tickets, few)
    everyone, stayed = whole["unlabelled"]["created_at"], some["unlabelled"]["created_at"]
    assert len(stayed) == 20 and dropped["unlabelled_surplus"] == len(everyone) - 20 > 0
    assert list(stayed) == list(everyone.sort_values()[-20:])
    assert sum(map(len, some.values())) + sum(dropped.values()) == len(tickets)


def test_too_few_months(tickets, sizes):
    short = tickets[tickets["created_at"].dt.month > 2]
    with pytest.raises(
        TicketSentimentError, match=r"holds 2 months, the split needs 3 .*prepare\.tune_months"
    ):
        prepare.split(short, sizes)


def test_too_few_rows(tickets, sizes):
    short = tickets.drop(_in(tickets, "2026-03")[20:])
    with pytest.raises(
        TicketSentimentError, match=r"split tune \(2026-03 to 2026-03\) has \d+ labelled rows, at least 30"
    ):
        prepare.split(short, sizes)


def test_a_class_that_is_missing(tickets, sizes):
    index = _in(tickets, "2026-04")
    tickets.loc[index, "label"] = tickets.loc[index, "label"].replace("neutral", "negative")
    with pytest.raises(TicketSentimentError, match=r"split holdout .* has no row labelled neutral"):
        prepare.split(tickets, sizes)


def _passed(folder, **changes):
    hashes = {"data_sha256": sha256_tree(folder), "feedback_sha256": sha256_tree(prepare.FEEDBACK)}
    write_json(prepare.RESULT, {"success": True, **hashes, **changes})


def test_the_stage_writes_what_it_says(tickets_folder, params):
    _passed(tickets_folder)
    prepare.main(params)
    result = json.loads((prepare.PREPARED / "split.json").read_text())
    assert set(result) == {"months", "rows", "dropped", "feedback", "sha256"}
    for name in ("train", "tune", "holdout"):
        path = prepare.PREPARED / f"{name}.parquet"
        assert len(read_tickets(path)) == result["rows"][name]
        assert sha256_file(path) == result["sha256"][name]
    before = sha256_tree(prepare.PREPARED)
    prepare.main(params)
    assert sha256_tree(prepare.PREPARED) == before


def test_the_gate_can_tell_that_customers_were_shared(tickets_folder, params):
    _passed(tickets_folder)
    shared = params.prepare.model_copy(update={"customers": "shared"})
    prepare.main(params.model_copy(update={"prepare": shared}))
    assert json.loads((prepare.PREPARED / "split.json").read_text())["customers"] == "shared"


def test_tickets_that_were_not_validated_are_refused(tickets_folder, params):
    with pytest.raises(
        TicketSentimentError, match=r"result\.json is missing: run `ticket-sentiment validate`"
    ):
        prepare.main(params)
    assert not prepare.PREPARED.exists()


@pytest.mark.parametrize("success", [False, None, "true", 1])
def test_tickets_that_did_not_pass_are_refused(tickets_folder, params, success):
    _passed(tickets_folder, success=success)
    with pytest.raises(TicketSentimentError, match="did not pass validation"):
        prepare.main(params)
    assert not prepare.PREPARED.exists()


def test_tickets_that_changed_since_are_refused(tickets_folder, params, month):
    _passed(tickets_folder)
    write_tickets(tickets_folder / "2026-04.parquet", month("2026-04").iloc[1:])
    with pytest.raises(TicketSentimentError, match="is about other data"):
        prepare.main(params)
    assert not prepare.PREPARED.exists()
