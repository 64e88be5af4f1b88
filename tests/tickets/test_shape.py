"""Numbers of a text: the fast way for ASCII and the general one agree."""

import pytest

from ticket_sentiment.tickets.shape import capital_share, non_ascii_share


@pytest.mark.parametrize(
    ("text", "capitals", "beyond"),
    [
        ("", 0.0, 0.0),
        ("12:30 !!", 0.0, 0.0),
        ("Where IS it", 3 / 9, 0.0),
        ("WHERE IS IT", 1.0, 0.0),
        ("ЗАКАЗ не пришёл", 5 / 13, 13 / 15),
        ("naïve", 0.0, 1 / 5),
        ("Thanks 😀", 1 / 6, 1 / 8),
        ("half a pair \ud83d", 0.0, 1 / 13),
    ],
)
def test_shares_of_capitals_and_of_characters_beyond_ascii(text, capitals, beyond):
    assert capital_share(text) == pytest.approx(capitals)
    assert non_ascii_share(text) == pytest.approx(beyond)


@pytest.mark.parametrize("text", ["I LOVE it", "nothing CAME, twice"])
def test_one_character_beyond_ascii_that_is_no_letter_changes_no_share_of_capitals(text):
    assert capital_share(text + "…") == capital_share(text)
