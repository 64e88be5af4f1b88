import itertools

from ticket_sentiment.model.augment import varied

TEXTS = ["one two three four five six seven eight", "alpha beta gamma delta", "too short", ""]


def test_each_long_text_gives_one_new_text_a_copy():
    assert varied(TEXTS, 0, seed=7) == []
    assert len(varied(TEXTS, 3, seed=7)) == 6


def test_made_texts_are_of_the_words_that_were_there_in_their_order():
    known = {word: (row, place) for row, text in enumerate(TEXTS) for place, word in enumerate(text.split())}
    for made in varied(TEXTS, 50, seed=7):
        places = [known[word] for word in made.split()]
        turns = sum(later <= earlier for earlier, later in itertools.pairwise(places))
        assert len(places) >= 1
        assert turns <= 1, "more than one join"


def test_the_same_seed_makes_the_same_and_another_makes_others():
    assert varied(TEXTS, 5, seed=7) == varied(TEXTS, 5, seed=7)
    assert varied(TEXTS, 5, seed=7) != varied(TEXTS, 5, seed=8)
