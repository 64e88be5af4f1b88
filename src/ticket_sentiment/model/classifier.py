"""The dense model: a Hugging Face encoder with a classification head, and how it is asked.

It stays in the Hugging Face format, so that `transformers.pipeline("text-classification", "models/dense")`
and every other tool of that world reads it.
"""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from tokenizers import Tokenizer

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.labels import LABEL_TO_ID, LABELS

PACKAGE_PREFIX = "package:"


def device() -> torch.device:
    """The GPU when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bfloat16(where: torch.device) -> bool:
    """Whether mixed precision pays: on a GPU, and on a CPU with bfloat16 products (2.2 times faster).

    A CPU without those instructions would emulate them and be slower.
    """
    return where.type == "cuda" or torch.cpu._is_avx512_bf16_supported()


def base_model_path(base_model: str) -> str:
    """Where the base weights lie: `package:NAME` (the folder `model` of an installed package), a local
    folder, or a hub id, which is returned as it is.

    Raises:
        TicketSentimentError: the package or folder does not exist.
    """
    remedy = "set train.base_model in params.yaml to package:NAME, a local folder or a hub id"
    if base_model.startswith(PACKAGE_PREFIX):
        name = base_model.removeprefix(PACKAGE_PREFIX)
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
        folder = Path(spec.origin).parent / "model" if spec and spec.origin else None
        if folder is None or not (folder / "config.json").is_file():
            raise TicketSentimentError(f"train.base_model: no model in a package {name!r}; {remedy}")
        return str(folder)
    path = Path(base_model)
    if path.exists():
        if not (path / "config.json").is_file():
            raise TicketSentimentError(f"train.base_model: {base_model} holds no config.json; {remedy}")
        return base_model
    if path.is_absolute() or base_model.startswith(".") or base_model.count("/") > 1:
        raise TicketSentimentError(f"train.base_model: the folder {base_model} does not exist; {remedy}")
    return base_model


def load_base(base_model: str) -> torch.nn.Module:
    """The base encoder with a new, seeded-by-the-caller classification head for our three labels.

    A head that comes with the weights is for other labels, or for these in another order: it is not kept.

    Raises:
        TicketSentimentError: the weights are not there, are no encoder that transformers knows, or have
            other sizes than their configuration.
    """
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    path = base_model_path(base_model)
    logging.set_verbosity_error()  # it reports at length that the head is new, which is the point
    logging.disable_progress_bar()
    try:
        model, loaded = AutoModelForSequenceClassification.from_pretrained(
            path,
            num_labels=len(LABELS),
            id2label=dict(enumerate(LABELS)),
            label2id=LABEL_TO_ID,
            use_safetensors=True,  # the other format is a pickle
            dtype=torch.float32,  # half-precision checkpoints would be trained in half
            ignore_mismatched_sizes=True,  # of the head, see below
            output_loading_info=True,
        )
    except (OSError, ValueError, SafetensorError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise TicketSentimentError(
            f"train.base_model: {base_model} cannot be loaded ({first_line}); "
            "set it to a local folder or, where a model hub can be reached, to a hub id"
        ) from None
    encoder = f"{model.base_model_prefix}."
    for name, found, wanted in sorted(loaded["mismatched_keys"]):
        if name.startswith(encoder):
            raise TicketSentimentError(
                f"train.base_model: {base_model} cannot be used: {name} is {list(found)}, by its config.json "
                f"{list(wanted)}; save the model again, or take another one"
            )
    head = {name for name in model.state_dict() if not name.startswith(encoder)}
    if not head <= loaded["missing_keys"]:
        _renew_head(model)
    return model


def _renew_head(model: torch.nn.Module) -> None:
    """What stands behind the encoder as transformers begins it."""
    model.config.problem_type = None  # it may say several labels at once, or a number
    for part, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and not part.startswith(f"{model.base_model_prefix}."):
            torch.nn.init.normal_(module.weight, std=getattr(model.config, "initializer_range", 0.02))
            torch.nn.init.zeros_(module.bias)


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """The tokenizer of a model folder, without padding or truncation.

    Raises:
        TicketSentimentError: there is no tokenizer.json (slow tokenizers are not supported: they
            could not be served without transformers).
    """
    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        from transformers import AutoTokenizer

        try:
            backend = AutoTokenizer.from_pretrained(str(folder)).backend_tokenizer
        except (OSError, ValueError, AttributeError):
            raise TicketSentimentError(
                f"{folder} has no tokenizer.json: save the model with a fast tokenizer"
            ) from None
        tokenizer = Tokenizer.from_str(backend.to_str())
    else:
        tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def load_dense(folder: Path) -> torch.nn.Module:
    """The fine-tuned dense model of stage `train`, in evaluation mode on the CPU."""
    from transformers import AutoModelForSequenceClassification

    if not (folder / "config.json").is_file():
        raise TicketSentimentError(f"{folder} holds no model: run `dvc repro train`")
    return AutoModelForSequenceClassification.from_pretrained(str(folder), use_safetensors=True).eval()


def encode(tokenizer: Tokenizer, texts: Sequence[str], max_length: int) -> list[list[int]]:
    """Token ids of each text, at most `max_length` with the special tokens."""
    tokenizer.enable_truncation(max_length)
    return [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]


def pad(rows: Sequence[Sequence[int]], padding: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded token ids and attention mask, both int64 [rows, longest]."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), padding, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = 1
    return ids, mask


def sorted_batches(
    rows: Sequence[Sequence[int]], batch_size: int
) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor]]:
    """Batches of texts of like length, so that hardly any padding is computed: (indices, ids, mask)."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        yield indices, *pad([rows[index] for index in indices])


def predict_rows(
    model: torch.nn.Module, rows: Sequence[Sequence[int]], batch_size: int
) -> NDArray[np.float32]:
    """Raw logits [texts, labels] of a torch model for token ids, in their order."""

    def logits(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        output = model(input_ids=ids, attention_mask=mask)
        return getattr(output, "logits", output)

    return _scored(model, rows, batch_size, logits)


def _scored(
    model: torch.nn.Module,
    rows: Sequence[Sequence[int]],
    batch_size: int,
    function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> NDArray[np.float32]:
    where = next(model.parameters()).device
    was_training = model.training
    model.eval()
    result: NDArray[np.float32] | None = None
    with torch.inference_mode():
        for indices, ids, mask in sorted_batches(rows, batch_size):
            output = function(ids.to(where), mask.to(where)).float().cpu().numpy()
            if result is None:
                result = np.empty((len(rows), output.shape[1]), dtype=np.float32)
            result[indices] = output
    model.train(was_training)
    if result is None:
        raise ValueError("no texts to score")
    return result


def predict_logits(
    model: torch.nn.Module, tokenizer: Tokenizer, texts: Sequence[str], max_length: int, batch_size: int
) -> NDArray[np.float32]:
    """Raw logits [texts, labels] of a torch model, dense or pruned, in the order of the texts."""
    return predict_rows(model, encode(tokenizer, texts, max_length), batch_size)


def embed(
    model: torch.nn.Module, tokenizer: Tokenizer, texts: Sequence[str], max_length: int, batch_size: int
) -> NDArray[np.float32]:
    """Mean of the last hidden states over the tokens, [texts, hidden], of the dense model.

    Where it is faster in bfloat16: for telling two tables apart the rounding, alike in both, does not matter.
    """
    where = next(model.parameters()).device
    mixed = has_bfloat16(where)

    def mean(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        with torch.autocast(where.type, torch.bfloat16, enabled=mixed):
            states = model.base_model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        weights = mask.unsqueeze(-1).to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1)

    return _scored(model, encode(tokenizer, texts, max_length), batch_size, mean)
