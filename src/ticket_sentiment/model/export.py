"""From torch to ONNX: both axes dynamic, one file, the label's logits and nothing else."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from ticket_sentiment.model.compact import CompactClassifier, from_dense

OPSET = 17


class _AllTokens(nn.Module):
    """The dense model as any exporter would write it: every layer computed for every token."""

    def __init__(self, model: CompactClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model.classify(self.model.states(input_ids, attention_mask, all_tokens=True)[-1])


def export_onnx(model: nn.Module, path: Path) -> None:
    """Write `model` as ONNX in fp32.

    The graph has the inputs `input_ids` and `attention_mask`, int64 [batch, tokens], and the output
    `logits`, float32 [batch, labels].

    Args:
        model: a compact model, or a Hugging Face classifier, which is written with every layer computed
            for every token, as a plain export would: it is what the compressed model is compared with.
        path: of the ONNX file.
    """
    if not isinstance(model, CompactClassifier):
        model = _AllTokens(from_dense(model))
    model = model.cpu().eval()
    # Lengths that differ and are not one: an axis of size one would be taken for a constant.
    ids = torch.ones((2, 7), dtype=torch.long)
    axes = {0: "batch", 1: "tokens"}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the tracing exporter announces its successor at every call
        torch.onnx.export(
            model,
            (ids, torch.ones_like(ids)),
            str(path),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,  # the newer exporter refuses a dynamic axis of size one: a single ticket
        )
