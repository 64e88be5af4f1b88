"""Cutting the vocabulary: half of a small encoder's parameters are rows for words that no ticket holds."""

import json
from collections import Counter
from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import nn

from ticket_sentiment.model.compact import CompactClassifier


def can_be_cut(tokenizer: Tokenizer) -> bool:
    """Only WordPiece can: a BPE vocabulary hangs together by its merges."""
    return json.loads(tokenizer.to_str())["model"]["type"] == "WordPiece"


def kept_tokens(tokenizer: Tokenizer, rows: Sequence[Sequence[int]], min_count: int) -> list[int] | None:
    """Old ids that stay, in their old order, or None when this vocabulary cannot be cut.

    Kept are special tokens, every single character (so that an unseen word is spelt, not lost) and every
    token seen at least `min_count` times.

    Args:
        tokenizer: of the dense model.
        rows: token ids of the texts of the training months, with or without a label.
        min_count: 0 keeps all.
    """
    if min_count == 0 or not can_be_cut(tokenizer):
        return None
    specification = json.loads(tokenizer.to_str())
    counts = Counter(token for row in rows for token in row)
    kept = {item["id"] for item in specification["added_tokens"]}  # some stand behind the vocabulary
    kept |= {
        index
        for token, index in specification["model"]["vocab"].items()
        if len(token.removeprefix("##")) == 1 or counts[index] >= min_count
    }
    return sorted(kept)


def cut_vocabulary(
    model: CompactClassifier, tokenizer: Tokenizer, kept: Sequence[int]
) -> tuple[CompactClassifier, Tokenizer]:
    """Drop all other tokens: `model` loses the rows (in place), a new tokenizer numbers the rest anew.

    The new id of a token is its position in `kept`.
    """
    new_ids = {old: new for new, old in enumerate(kept)}
    specification = json.loads(tokenizer.to_str())
    vocabulary = specification["model"]["vocab"]
    specification["model"]["vocab"] = {
        token: new_ids[index] for token, index in vocabulary.items() if index in new_ids
    }
    for item in specification["added_tokens"]:
        item["id"] = new_ids[item["id"]]
    _renumber_special(specification["post_processor"], new_ids)
    words = nn.Embedding(len(kept), model.config.hidden)
    words.weight.data.copy_(model.words.weight.data[torch.tensor(list(kept))])
    model.words = words
    model.config = type(model.config)(**{**vars(model.config), "vocabulary": len(kept)})
    return model, Tokenizer.from_str(json.dumps(specification))


def _renumber_special(processor: dict | None, new_ids: dict[int, int]) -> None:
    """Ids inside the post-processor that puts [CLS] and [SEP] around a text."""
    if processor is None:
        return
    for item in processor.get("special_tokens", {}).values():  # TemplateProcessing
        item["ids"] = [new_ids[index] for index in item["ids"]]
    for name in ("sep", "cls"):  # BertProcessing
        if name in processor:
            processor[name][1] = new_ids[processor[name][1]]
