"""Which tickets share an answer: those of which the model reads the same.

The rule that keeps a shared answer right: **the key is made of the text that is scored.** Case and white
space are folded because the tokenizer folds them, which changes no token. Greetings and signatures are off
already (`tickets.canonical`), with the cache or without. An answer then never depends on who asked before.

Everything else counts: negations, numbers ("1 of 5" and "5 of 5"), punctuation (":(" and ":)"), the order of
words. Personal data was masked before, so tickets that differ in a phone number or an address are equal.
"""

import hashlib
import re
from collections.abc import Callable, Sequence

# To BERT's tokenizers each of these is one token of its own, and in lower case three or more.
_SPECIAL = re.compile(r"\[(?:CLS|MASK|PAD|SEP|UNK)\]")


def cache_key(scored_text: str, fold_case: bool = True) -> str:
    """32 hex digits, equal for texts that the model reads alike; they do not tell the text.

    Args:
        scored_text: exactly what is given to the model: `tickets.canonical.canonical` of the masked text.
        fold_case: whether the bundle's tokenizer folds case (`folds_case`); else capitals count.
    """
    text = " ".join(scored_text.split())
    if fold_case and not ("[" in text and _SPECIAL.search(text)):
        # Only at the end of a word does Python make another letter of it, and the tokenizer does not.
        text = text.replace("Σ", "σ").lower()
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def folds_case(encode: Callable[[str], Sequence[int]]) -> bool:
    """Whether a tokenizer makes the same tokens of capitals; ask once for each bundle.

    Args:
        encode: from a text to its token ids.
    """
    probe = "The GREAT Service of Order NEVER worked, Please Refund ÀÉ"
    return list(encode(probe)) == list(encode(probe.lower()))
