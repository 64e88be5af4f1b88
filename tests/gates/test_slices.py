import pandas as pd

from ticket_sentiment.gates.slices import customers, language, length, masked, slice_masks
from ticket_sentiment.params import Evaluate


def settings(rows: int, **products: str) -> Evaluate:
    return Evaluate(bootstrap_samples=100, seed=7, min_slice_rows=rows, products=products)


def table(texts: list[str], channels: list[str] | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "text": texts,
            "channel": channels or ["mail"] * len(texts),
            "created_at": pd.date_range("2026-09-30", periods=len(texts), freq="D", tz="UTC"),
        }
    )


def test_lengths_have_fixed_edges_in_words():
    texts = [" ".join(["word"] * count) for count in (1, 10, 11, 25, 26, 60, 61, 500)]
    assert length(table(texts)).tolist() == [
        "up to 10 words",
        "up to 10 words",
        "11 to 25 words",
        "11 to 25 words",
        "26 to 60 words",
        "26 to 60 words",
        "over 60 words",
        "over 60 words",
    ]


def test_masked_means_that_a_mask_is_in_the_text():
    texts = ["write to [EMAIL] please", "see [1] and [sic]", "call [PHONE]", "nothing"]
    assert masked(table(texts)).tolist() == ["masked", "nothing masked", "masked", "nothing masked"]


def test_slices_cover_the_table_once_each_in_a_fixed_order():
    tickets = table(
        ["one two", "three [URL]", "four", "and this is the same question " * 6],
        ["mail", "chat", "mail", "chat"],
    )
    found = [(name, value, rows.tolist()) for name, value, rows in slice_masks(tickets, settings(1))]
    assert [(name, value) for name, value, _ in found] == [
        ("channel", "chat"),
        ("channel", "mail"),
        ("length", "up to 10 words"),
        ("length", "26 to 60 words"),
        ("month", "2026-09"),
        ("month", "2026-10"),
        ("masked", "masked"),
        ("masked", "nothing masked"),
        ("language", "en"),
        ("language", "too short to tell"),
    ]
    for wanted in ("channel", "length", "month", "masked", "language"):
        assert sum(sum(rows) for name, _, rows in found if name == wanted) == 4


def test_small_slices_are_left_out():
    tickets = table(["text"] * 5, ["mail"] * 4 + ["chat"])
    values = [value for name, value, _ in slice_masks(tickets, settings(4)) if name == "channel"]
    assert values == ["mail"]


def test_languages_are_told_where_the_text_is_long_enough():
    texts = [
        "Der Router verliert jeden Abend die Verbindung, und niemand antwortet.",
        "The router loses its connection every evening and nobody answers.",
        "Danke",
        "[EMAIL] [EMAIL] [EMAIL] [EMAIL] [EMAIL] [EMAIL] [EMAIL]",
    ]
    assert language(table(texts)).tolist() == ["de", "en", "too short to tell", "too short to tell"]


def test_customers_are_new_or_not_where_the_table_knows():
    tickets = table(["one", "two"])
    assert customers(tickets).isna().all()
    assert customers(tickets.assign(known_customer=[True, False])).tolist() == ["wrote before", "new"]
    unnamed = tickets.assign(known_customer=pd.Series([True, None], dtype=object))
    assert [name for name, _, _ in slice_masks(unnamed, settings(1)) if name == "customers"] == ["customers"]


def test_a_ticket_may_be_about_several_products():
    tickets = table(["My Phone and the camera", "the camera", "telephone"])
    found = slice_masks(tickets, settings(1, phone=r"\bphone\b", camera="camera", printer="printer"))
    products = {value: rows.tolist() for name, value, rows in found if name == "product"}
    assert products == {"phone": [True, False, False], "camera": [True, True, False]}


def test_the_words_of_a_product_are_those_of_any_script():
    tickets = table(["Das Öl läuft aus", "the café", "la mobilité et la phone-phone"])
    words = {"oil": r"\böl\b", "cafe": r"\bcafé\b", "twice": r"\b(phone)-\1\b"}
    found = slice_masks(tickets, settings(1, **words))
    products = {value: rows.tolist().index(True) for name, value, rows in found if name == "product"}
    assert products == {"oil": 0, "cafe": 1, "twice": 2}
