import pytest
import torch

from tests.support.tiny_model import tiny_classifier
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.compact import FAMILIES, from_dense, load_compact, save_compact, to_dense


def batch(model, seed=0):
    """Two texts of different length, padded as the family pads."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 90, (2, 11), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    ids[1, 7:] = model.config.pad_token_id
    return ids, mask


@pytest.mark.parametrize("family", FAMILIES)
def test_the_compact_module_computes_what_the_family_computes(family):
    dense = tiny_classifier(family)
    ids, mask = batch(dense)
    with torch.no_grad():
        expected = dense(input_ids=ids, attention_mask=mask).logits
        actual = from_dense(dense)(ids, mask)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("padding", [0, 3])
def test_positions_count_from_wherever_the_padding_token_is(padding):
    dense, other = (tiny_classifier("roberta", seed, padding=padding) for seed in (1, 2))
    ids, mask = batch(dense)
    compact = from_dense(dense)
    to_dense(compact, other)
    assert compact.config.positions == 48 - padding - 1
    with torch.no_grad():
        expected = dense(input_ids=ids, attention_mask=mask).logits
        torch.testing.assert_close(compact(ids, mask), expected, atol=1e-5, rtol=1e-5)
        returned = other(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(returned, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_trained_weights_return_into_the_family_s_format(family):
    dense, other = tiny_classifier(family, seed=1), tiny_classifier(family, seed=2)
    ids, mask = batch(dense)
    to_dense(from_dense(dense), other)
    with torch.no_grad():
        expected = dense(input_ids=ids, attention_mask=mask).logits
        actual = other(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_the_last_layer_computed_for_the_first_token_only_gives_the_same_answer():
    model = from_dense(tiny_classifier())
    ids, mask = batch(tiny_classifier())
    with torch.no_grad():
        short = model.states(ids, mask)[-1]
        whole = model.states(ids, mask, all_tokens=True)[-1]
    assert short.shape[1] == 1
    assert whole.shape[1] == ids.shape[1]
    torch.testing.assert_close(short[:, 0], whole[:, 0], atol=1e-6, rtol=1e-5)


def test_multiplications_are_what_one_more_token_costs():
    model = from_dense(tiny_classifier())
    made = []
    for layer in model.layers:
        for part in layer.children():
            if isinstance(part, torch.nn.Linear):
                part.register_forward_hook(
                    lambda module, given, _: made.append(module.weight.numel() * given[0].shape[1])
                )

    def of(tokens):
        made.clear()
        model(torch.full((1, tokens), 7), torch.ones((1, tokens), dtype=torch.long))
        return sum(made)

    assert model.config.multiplications == of(9) - of(8)


def test_padding_changes_nothing():
    model = from_dense(tiny_classifier())
    ids, mask = batch(tiny_classifier())
    with torch.no_grad():
        torch.testing.assert_close(model(ids, mask)[1:], model(ids[1:, :7], mask[1:, :7]))


def test_an_unknown_architecture_is_refused_by_name_with_the_known_ones():
    with pytest.raises(
        TicketSentimentError, match=r"gpt2.*bert, roberta, xlm-roberta, camembert, distilbert"
    ):
        from_dense(tiny_classifier("gpt2"))


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_decoder_is_refused(family):
    dense = tiny_classifier(family)
    dense.config.is_decoder = True
    with pytest.raises(
        TicketSentimentError, match=f"train.base_model: this {family} is a decoder.*is_decoder"
    ):
        from_dense(dense)


def test_saved_and_loaded_is_the_same(tmp_path):
    model = from_dense(tiny_classifier())
    save_compact(model, tmp_path)
    loaded = load_compact(tmp_path)
    assert loaded.config == model.config
    ids, mask = batch(tiny_classifier())
    with torch.no_grad():
        torch.testing.assert_close(loaded(ids, mask), model(ids, mask))
