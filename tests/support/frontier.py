"""A row of frontier.csv that holds together."""

from typing import Any

from ticket_sentiment.model.frontier import FrontierPoint


def frontier_point(**changes: Any) -> FrontierPoint:
    """A compressed point inside a budget of one point; `changes` replace fields."""
    return FrontierPoint(
        **{
            "name": "2x2x32-e8",
            "kind": "compressed",
            "base_model": "package:base",
            "layers": 2,
            "heads": 2,
            "ffn": 32,
            "embedding_bytes": 8,
            "min_token_count": 0,
            "seeds": 3,
            "tune_loss": 0.004,
            "loss": 0.005,
            "loss_low": 0.001,
            "loss_high": 0.009,
            "macro_f1": 0.74,
            "calibration_error": 0.02,
            "mb": 8.0,
            "ms": 0.8,
            "speedup_torch": 14.0,
            "speedup_onnx": 6.0,
            "data": "0123456789ab",
            "settings": "ba9876543210",
            "cpu": "a processor",
            "measured_on": "2026-11-01",
        }
        | changes
    )


def measured_frontier(base_model: str = "tiny") -> list[FrontierPoint]:
    """A whole frontier with numbers as a search gives them, from the dense model to what is too small."""
    kinds = {"dense": "dense", "dense_int8": "dense_int8", "from_scratch": "trained_from_scratch"}
    rows = [
        # name, layers, heads, ffn, bytes, tune loss, loss, half of its interval, MB, ms, x torch, x ONNX
        ("dense", 6, 12, 1536, 0, 0.0, 0.0, 0.0, 91.4, 13.9, 1.0, 2.0),
        ("dense_int8", 6, 12, 1536, 0, 0.001, 0.002, 0.004, 23.2, 3.1, 4.5, 2.3),
        ("lower_4", 4, 12, 1536, 0, 0.019, 0.021, 0.009, 19.6, 2.2, 6.3, 3.2),
        ("lower_3", 3, 12, 1536, 0, 0.032, 0.034, 0.011, 17.8, 1.7, 8.2, 4.1),
        ("lower_2", 2, 12, 1536, 0, 0.055, 0.058, 0.012, 16.0, 1.2, 11.6, 5.8),
        ("4x12x1024-e96", 4, 12, 1024, 96, 0.001, 0.003, 0.006, 9.1, 1.55, 9.0, 4.5),
        ("4x8x768-e96", 4, 8, 768, 96, 0.005, 0.006, 0.005, 7.0, 1.25, 11.1, 5.6),
        ("3x12x1024-e96", 3, 12, 1024, 96, 0.006, 0.008, 0.006, 7.7, 1.2, 11.6, 5.8),
        ("3x8x768-e48", 3, 8, 768, 48, 0.008, 0.009, 0.006, 4.8, 0.96, 14.5, 7.2),
        ("3x6x512-e48", 3, 6, 512, 48, 0.011, 0.013, 0.007, 3.9, 0.8, 17.4, 8.7),
        ("2x12x1024-e48", 2, 12, 1024, 48, 0.014, 0.015, 0.007, 4.8, 0.86, 16.2, 8.0),
        ("2x8x768-e48", 2, 8, 768, 48, 0.0185, 0.019, 0.008, 3.9, 0.7, 19.9, 9.9),
        ("2x6x512-e48", 2, 6, 512, 48, 0.024, 0.026, 0.009, 3.2, 0.58, 24.0, 12.0),
        ("from_scratch", 2, 2, 512, 0, 0.118, 0.121, 0.014, 5.1, 0.21, 66.0, 33.0),
    ]
    return [
        frontier_point(
            name=name, base_model=base_model, layers=layers, heads=heads, ffn=ffn, embedding_bytes=parts,
            kind=kinds.get(name, "upper_layers_dropped" if name.startswith("lower") else "compressed"),
            tune_loss=tune_loss, loss=loss, loss_low=loss - half, loss_high=loss + half,
            macro_f1=0.76 - loss, mb=mb, ms=ms, speedup_torch=torch, speedup_onnx=onnx,
        )
        for name, layers, heads, ffn, parts, tune_loss, loss, half, mb, ms, torch, onnx in rows
    ]  # fmt: skip
