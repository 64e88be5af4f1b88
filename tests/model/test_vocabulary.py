import torch
from tokenizers import AddedToken, Tokenizer, models

from tests.support.tiny_model import tiny_classifier, tiny_tokenizer
from ticket_sentiment.model.classifier import encode, pad
from ticket_sentiment.model.compact import from_dense
from ticket_sentiment.model.vocabulary import can_be_cut, cut_vocabulary, kept_tokens

TEXTS = ["Great parcel, thanks", "awful and slow", "invoicing"]


def cut(*added):
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in added])
    model = from_dense(tiny_classifier(vocabulary=tokenizer.get_vocab_size()))
    rows = encode(tokenizer, TEXTS, 24)
    with torch.no_grad():
        before = model(*pad(rows))
    kept = kept_tokens(tokenizer, rows, min_count=1)
    return before, *cut_vocabulary(model, tokenizer, kept)


def test_texts_that_were_seen_are_answered_as_before():
    before, model, tokenizer = cut()
    with torch.no_grad():
        after = model(*pad(encode(tokenizer, TEXTS, 24)))
    assert torch.equal(after, before)
    assert model.config.vocabulary == model.words.num_embeddings == tokenizer.get_vocab_size() < 96


def test_a_token_that_was_added_to_the_base_model_stays_one():
    _, model, tokenizer = cut("[EMAIL]", "[PHONE]")
    (ids,) = encode(tokenizer, ["great [PHONE] [EMAIL]"], 24)
    tokens = [tokenizer.id_to_token(index) for index in ids]
    assert tokens == ["[CLS]", "great", "[PHONE]", "[EMAIL]", "[SEP]"]
    assert max(ids) < model.words.num_embeddings == tokenizer.get_vocab_size()


def test_a_word_that_was_not_seen_is_spelt_and_not_lost():
    _, _, tokenizer = cut()
    tokens = tokenizer.encode("perfect").tokens
    assert tokens == ["[CLS]", "p", "##e", "##r", "##f", "##e", "##c", "##t", "[SEP]"]


def test_a_rare_token_goes_when_more_sightings_are_asked_for():
    tokenizer = tiny_tokenizer()
    rows = encode(tokenizer, ["great great", "awful"], 24)
    names = tokenizer.get_vocab()
    kept = kept_tokens(tokenizer, rows, min_count=2)
    assert names["great"] in kept
    assert names["awful"] not in kept


def test_only_word_pieces_can_be_cut():
    assert can_be_cut(tiny_tokenizer())
    assert not can_be_cut(Tokenizer(models.BPE()))
    assert not can_be_cut(Tokenizer(models.Unigram()))


def test_zero_and_byte_pair_vocabularies_stay_whole():
    assert kept_tokens(tiny_tokenizer(), [[1]], min_count=0) is None
    assert kept_tokens(Tokenizer(models.BPE()), [[1]], min_count=1) is None
