"""Tiny random models in the Hugging Face format, with a real WordPiece tokenizer, and texts they can read."""

import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForSequenceClassification

from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.data import LabelledTexts

WORDS = {
    "negative": ["awful", "broken", "slow", "refund", "angry", "terrible"],
    "neutral": ["order", "invoice", "question", "today", "parcel", "number"],
    "positive": ["great", "thanks", "happy", "perfect", "quick", "lovely"],
}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

BERT = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
ROBERTAS = ("roberta", "xlm-roberta", "camembert")
SHAPES = {
    "bert": BERT,
    **dict.fromkeys(ROBERTAS, BERT),
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 64},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
}


def tiny_tokenizer() -> Tokenizer:
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pieces = SPECIAL + letters + ["##" + letter for letter in letters] + ["un", "##ing", "never", "used"]
    pieces += [word for words in WORDS.values() for word in words]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def tiny_classifier(
    family: str = "bert", seed: int = 0, vocabulary: int = 96, padding: int | None = None
) -> torch.nn.Module:
    """A random classifier of a family of transformers, in evaluation mode; padding: id of its token."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        family, vocab_size=vocabulary, max_position_embeddings=48, num_labels=len(LABELS), **SHAPES[family]
    )
    config.pad_token_id = padding if padding is not None else int(family in ROBERTAS)
    model = AutoModelForSequenceClassification.from_config(config)
    for parameter in model.parameters():  # zero biases and unit norms would hide what is not copied
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model.eval()


def make_tiny_base(folder: Path, family: str = "bert", seed: int = 0) -> Path:
    """A base model folder as `train.base_model` may name it."""
    tokenizer = tiny_tokenizer()
    tiny_classifier(family, seed, tokenizer.get_vocab_size()).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def tiny_texts(rows: int, seed: int = 0) -> LabelledTexts:
    """Texts whose words give the label away, so that even a tiny model learns them."""
    import numpy as np

    draw = random.Random(seed)
    labels = [draw.randrange(len(LABELS)) for _ in range(rows)]
    texts = []
    for label in labels:
        words = draw.choices(WORDS[LABELS[label]], k=3) + draw.choices(WORDS["neutral"], k=draw.randint(1, 6))
        draw.shuffle(words)
        texts.append(" ".join(words))
    return LabelledTexts(texts, np.array(labels, dtype=np.int64))
