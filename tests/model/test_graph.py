import numpy as np
import onnx
import pytest
import torch

from tests.support.tiny_model import tiny_classifier
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.compact import FAMILIES, CompactClassifier, CompactConfig, from_dense
from ticket_sentiment.model.embedding import product_quantize
from ticket_sentiment.model.graph import to_int8, write_fp32, write_int8, write_portable
from ticket_sentiment.model.runtime import open_session
from ticket_sentiment.params import Quantize

INT8 = Quantize(per_channel=True, reduce_range=False)
INT7 = Quantize(per_channel=True, reduce_range=True)
ONE_SCALE = Quantize(per_channel=False, reduce_range=False)


def batch(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Texts of these lengths, padded on the right with tokens that would change the answer if read."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 90, (len(lengths), max(lengths)), generator=generator)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    return ids, mask


BATCHES = {"one text": batch(9), "one token": batch(1), "no padding": batch(6, 6), "padding": batch(11, 4, 1)}


def uneven(heads=(1, 3, 2), ffn=(40, 8, 24)) -> CompactClassifier:
    """A random model as pruning might leave it: every layer of another shape."""
    torch.manual_seed(3)
    config = CompactConfig(
        hidden=32, head_size=8, heads=heads, ffn=ffn, vocabulary=96, positions=24, norm_eps=1e-12,
        activation="gelu", head_activation="tanh",
    )  # fmt: skip
    model = CompactClassifier(config).eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def with_product_embedding(model: CompactClassifier) -> CompactClassifier:
    weight = model.words.weight.detach()
    model.words = product_quantize(weight, torch.ones(len(weight)), parts=4, seed=0)
    return model


def answers(path, ids, mask):
    feed = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
    return open_session(path).run(["logits"], feed)[0]


def expected(model, ids, mask):
    with torch.no_grad():
        return model(ids, mask).numpy()


@pytest.mark.parametrize("texts", BATCHES)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_graph_computes_what_torch_computes_for_every_family(tmp_path, family, texts):
    model = from_dense(tiny_classifier(family))
    write_fp32(model, tmp_path / "model.onnx")
    np.testing.assert_allclose(
        answers(tmp_path / "model.onnx", *BATCHES[texts]), expected(model, *BATCHES[texts]), atol=1e-5
    )


@pytest.mark.parametrize("texts", BATCHES)
@pytest.mark.parametrize("change", [lambda model: model, with_product_embedding], ids=["rows", "product"])
def test_layers_may_differ_in_shape_and_both_embeddings_are_known(tmp_path, change, texts):
    model = change(uneven())
    write_fp32(model, tmp_path / "model.onnx")
    np.testing.assert_allclose(
        answers(tmp_path / "model.onnx", *BATCHES[texts]), expected(model, *BATCHES[texts]), atol=1e-5
    )


def test_a_model_of_one_layer_computes_its_first_token_only(tmp_path):
    model = uneven(heads=(2,), ffn=(16,))
    write_fp32(model, tmp_path / "model.onnx")
    ids, mask = BATCHES["padding"]
    np.testing.assert_allclose(
        answers(tmp_path / "model.onnx", ids, mask), expected(model, ids, mask), atol=1e-5
    )


@pytest.mark.parametrize("write", [write_int8, write_portable], ids=["int8", "portable"])
@pytest.mark.parametrize("settings", [INT8, INT7, ONE_SCALE], ids=["int8", "7 bits", "one scale"])
@pytest.mark.parametrize("change", [lambda model: model, with_product_embedding], ids=["rows", "product"])
def test_int8_differs_by_little(tmp_path, change, settings, write):
    model = change(uneven())
    write(model, tmp_path / "model.onnx", settings)
    ids, mask = batch(*range(1, 24))
    exact = expected(model, ids, mask)
    error = answers(tmp_path / "model.onnx", ids, mask) - exact
    assert np.sqrt((error**2).mean()) < 0.05 * exact.std()


@pytest.mark.parametrize("kind", ["fp32", "int8", "portable"])
def test_padding_is_not_read(tmp_path, kind):
    model, path = uneven(), tmp_path / "model.onnx"
    if kind == "fp32":
        write_fp32(model, path)
    else:
        {"int8": write_int8, "portable": write_portable}[kind](model, path, INT8)
    ids, mask = BATCHES["padding"]
    alone = np.concatenate(
        [answers(path, row[None, :count], torch.ones((1, count), dtype=torch.long))
         for row, count in zip(ids, mask.sum(1), strict=True)]
    )  # fmt: skip
    # In int8 the texts of a batch share the scale of their activations; padding may widen it.
    tolerance = 0.1 * alone.std() if kind == "int8" else 1e-5
    np.testing.assert_allclose(answers(path, ids, mask), alone, atol=tolerance)


def test_the_portable_graph_rounds_no_activation_and_stores_the_weights_of_the_cpu_bundle(tmp_path):
    write_int8(uneven(), tmp_path / "cpu.onnx", INT7)
    write_portable(uneven(), tmp_path / "edge.onnx", INT7)
    cpu, edge = (onnx.load(tmp_path / name).graph for name in ("cpu.onnx", "edge.onnx"))
    stored = {tensor.name: tensor.raw_data for tensor in edge.initializer}
    assert stored == {tensor.name: tensor.raw_data for tensor in cpu.initializer if tensor.name in stored}
    assert len(stored) > 40
    assert not {node.op_type for node in edge.node} & {"QAttention", "DynamicQuantizeMatMul"}


def test_only_what_is_small_stays_in_floating_point(tmp_path):
    write_int8(uneven(), tmp_path / "model.onnx", INT8)
    matrices = {
        tensor.name: tensor.data_type
        for tensor in onnx.load(tmp_path / "model.onnx").graph.initializer
        if len(tensor.dims) == 2 and tensor.dims[1] > 1
    }
    floats = {name for name, kind in matrices.items() if kind == onnx.TensorProto.FLOAT}
    assert floats == {"positions.weight", "out.weight"}
    assert len(matrices) > len(floats) + 12


def test_seven_bits_keep_two_products_within_sixteen(tmp_path):
    write_int8(uneven(), tmp_path / "model.onnx", INT7)
    weights = {
        tensor.name: np.abs(onnx.numpy_helper.to_array(tensor).astype(int)).max()
        for tensor in onnx.load(tmp_path / "model.onnx").graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8
    }
    assert weights.pop("words.weight") == 127  # is looked up, not multiplied
    assert set(weights.values()) == {63}
    assert 255 * 63 * 2 < 2**15


def test_int8_keeps_zeros_and_the_largest_of_each_slice():
    values = np.array([[1.0, 0.0, -4.0], [-2.0, 0.0, 1.0]], dtype=np.float32)
    quantized, scale = to_int8(values, axis=0)
    np.testing.assert_allclose(scale, [2 / 127, 1, 4 / 127], rtol=1e-6)
    np.testing.assert_array_equal(quantized, [[64, 0, -127], [-127, 0, 32]])
    assert to_int8(values, axis=1)[1].shape == (2,)
    assert to_int8(values, axis=None)[1].shape == (1,)


def test_the_same_weights_give_the_same_bytes(tmp_path):
    for name in ("first", "second"):
        write_int8(with_product_embedding(uneven()), tmp_path / name, INT8)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_an_unknown_embedding_is_refused_by_name(tmp_path):
    model = uneven()
    model.words = torch.nn.Identity()
    with pytest.raises(TicketSentimentError, match="Identity"):
        write_fp32(model, tmp_path / "model.onnx")
