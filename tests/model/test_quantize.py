import json

import numpy as np
import onnx
import pytest
import torch

from tests.support.tiny_model import tiny_classifier, tiny_texts
from ticket_sentiment.model.builds import HALF_FROM
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.model.calibration import fit_temperature
from ticket_sentiment.model.compact import from_dense
from ticket_sentiment.model.data import read_said, read_texts
from ticket_sentiment.model.export import export_onnx
from ticket_sentiment.model.prune import main as prune
from ticket_sentiment.model.quantize import main as quantize
from ticket_sentiment.model.runtime import Runtime, open_session
from ticket_sentiment.model.train import main as train


def answers(session, ids):
    feed = {"input_ids": ids.numpy(), "attention_mask": torch.ones_like(ids).numpy()}
    return session.run(["logits"], feed)[0]


def test_the_exported_graph_takes_any_number_of_texts_of_any_length(tmp_path):
    model = from_dense(tiny_classifier())
    export_onnx(model, tmp_path / "model.onnx")
    session = open_session(tmp_path / "model.onnx")
    for shape in ((1, 1), (1, 9), (3, 2), (5, 24)):
        ids = torch.randint(5, 90, shape)
        with torch.no_grad():
            expected = model(ids, torch.ones_like(ids)).numpy()
        np.testing.assert_allclose(answers(session, ids), expected, atol=1e-5)


def test_the_dense_model_is_exported_with_every_token_computed(tmp_path):
    dense = tiny_classifier()
    export_onnx(dense, tmp_path / "dense.onnx")
    ids = torch.randint(5, 90, (2, 9))
    with torch.no_grad():
        expected = dense(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.numpy()
    np.testing.assert_allclose(answers(open_session(tmp_path / "dense.onnx"), ids), expected, atol=1e-5)


def test_the_stage_writes_three_bundles_that_answer_alike(workspace, small_params):
    train(small_params)
    prune(small_params)
    quantize(small_params)
    report = json.loads((workspace / "reports/compression.json").read_text())
    cpu, gpu = (load_bundle(workspace / f"models/release/{device}") for device in ("cpu", "gpu"))
    assert (cpu.manifest.precision, gpu.manifest.precision) == ("int8", "fp16")
    assert report["cpu"] == {"bytes": cpu.size_bytes, "digest": cpu.digest}
    assert report["parity"]["fp32"]["label_agreement"] == 1.0
    assert report["parity"]["fp32"]["max_logit_difference"] < 1e-4
    assert report["parity"]["fp16"]["label_agreement"] > 0.98
    assert report["parity"]["int8"]["label_agreement"] > 0.9
    texts = tiny_texts(30, seed=2).texts
    close = np.abs(Runtime(cpu).probabilities(texts) - Runtime(gpu).probabilities(texts))
    assert np.median(close) < 0.05
    for bundle in (cpu, load_bundle(workspace / "models/release/edge")):
        logits = Runtime(bundle).logits_of_table(read_texts("tune").texts)
        assert bundle.manifest.temperature == pytest.approx(fit_temperature(logits, read_said()), rel=1e-3)
    edge = load_bundle(workspace / "models/release/edge")
    assert edge.size_bytes < cpu.size_bytes
    assert report["parity"]["edge"]["label_agreement"] > 0.9
    largest = max(
        np.prod(tensor.dims)
        for tensor in onnx.load(edge.model_path).graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
    )
    assert largest < HALF_FROM, "a large constant was left in 32 bits"


def test_the_same_weights_give_the_same_bundle(workspace, small_params):
    train(small_params)
    prune(small_params)
    quantize(small_params)
    first = load_bundle(workspace / "models/release/cpu").digest
    quantize(small_params)
    assert load_bundle(workspace / "models/release/cpu").digest == first
