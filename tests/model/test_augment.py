import itertools
import random
from pathlib import Path

import pytest
import yaml

from ticket_sentiment.model.augment import ASIDES, WAYS, varied

TEXTS = ["one two three four five six seven eight", "alpha beta gamma delta", "too short", ""]
UNSPACED = ["商品が届きません。返金してください", "iPhone 13 の画面が割れていました", "สินค้ายังไม่มาถึง"]
LONG = [text.split() for text in TEXTS[:2]]
KNOWN = {word: (row, place) for row, words in enumerate(LONG) for place, word in enumerate(words)}
SUITE = Path(__file__).parents[2] / "src/ticket_sentiment/behaviour/suite"


def made_by(way, times=200):
    """What one way makes of the first text, many times."""
    way = next(function for function in WAYS if function.__name__ == way)
    draw = random.Random(7)
    return [way(LONG[0], LONG, draw) for _ in range(times)]


def turns(words):
    """How often the words are not in the order of their text."""
    places = [KNOWN[word] for word in words]
    return sum(later <= earlier for earlier, later in itertools.pairwise(places))


def test_each_long_text_gives_one_new_text_a_copy():
    assert varied(TEXTS, 0, seed=7) == []
    assert len(varied(TEXTS, 3, seed=7)) == 6


def test_a_text_without_spaces_is_varied_by_its_characters():
    made = varied(UNSPACED, 40, seed=7)
    assert len(made) == 120
    assert len(set(made)) > 100, "they are hardly varied"
    asides = "".join(aside for kind in ASIDES.values() for aside in kind)
    assert all(set(text) <= set("".join(UNSPACED) + asides) for text in made)
    pieces = [text for text in made[::3] if text in UNSPACED[0]]
    assert any(4 < len(text) < len(UNSPACED[0]) for text in pieces)
    assert any("iPhone 13 " in text for text in made)
    assert not any("iPhone 1" in text.replace("iPhone 13 ", "") for text in made)


def test_texts_with_spaces_and_without_are_not_joined():
    greek, thai = {"alpha", "beta", "gamma", "delta"}, set(UNSPACED[2])
    made = varied([*TEXTS, *UNSPACED], 40, seed=7)
    of_greek, of_thai = ([text for text in made if any(one in text for one in own)] for own in (greek, thai))
    assert len(of_greek) > 40 and len(of_thai) > 40
    assert not set(of_greek) & set(of_thai)


@pytest.mark.parametrize("text", ["Excellent product!", "Donaudampfschifffahrt", "배송이 늦어요", "谢谢"])
def test_a_short_text_is_passed_over_in_any_script(text):
    assert varied([text, *TEXTS[:2]], 1, seed=7) == varied(TEXTS[:2], 1, seed=7)


def test_the_shares_of_the_ways_are_a_whole():
    assert sum(WAYS.values()) == pytest.approx(1)


def test_a_piece_is_of_the_words_of_the_text_in_their_order():
    for words in made_by("_piece"):
        assert words
        assert turns(words) == 0
        assert {KNOWN[word][0] for word in words} == {0}


def test_joined_is_two_pieces():
    for words in made_by("_joined"):
        assert turns(words) <= 1, "more than one join"


def test_a_long_one_has_the_whole_text_among_up_to_three_pieces():
    lengths = set()
    for words in made_by("_long"):
        assert " ".join(LONG[0]) in " ".join(words)
        assert turns(words) <= 3
        lengths.add(len(words))
    assert max(lengths) > 2 * len(LONG[0])


def test_asides_stand_beside_the_whole_text():
    flat = {aside for kind in ASIDES.values() for aside in kind}
    front = behind = 0
    for words in made_by("_with_asides"):
        before, found, after = " ".join(words).partition(" ".join(LONG[0]))
        assert found
        for side in (before.strip(), after.strip()):
            pairs = {f"{one} {two}" for one in flat for two in flat if side.startswith(one)}
            assert not side or side in flat | pairs
        front, behind = front + bool(before), behind + bool(after)
    assert front and behind


def test_no_aside_is_of_the_behaviour_suite():
    """What the suite asks must not be learnt by heart."""
    asked = "\n".join(
        str(value) for path in SUITE.glob("*.yaml") for value in yaml.safe_load(path.read_text()).values()
    )
    for kind in ("footers", "stories", "foreign"):
        assert [aside for aside in ASIDES[kind] if aside in asked] == []


def test_the_same_seed_makes_the_same_and_another_makes_others():
    assert varied(TEXTS, 5, seed=7) == varied(TEXTS, 5, seed=7)
    assert varied(TEXTS, 5, seed=7) != varied(TEXTS, 5, seed=8)
