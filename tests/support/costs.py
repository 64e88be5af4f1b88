"""A case to be priced whose figures can be worked out by hand."""

import json
from datetime import date
from pathlib import Path
from typing import Any

from tests.support.evidence import benchmark
from tests.support.params import params_of_tests
from ticket_sentiment.costs.case import Case, build_case
from ticket_sentiment.params import Params

ROOT = Path(__file__).parents[2]
PRICES = ROOT / "src/ticket_sentiment/costs/prices.yaml"
TODAY = date(2026, 11, 26)
# Plain numbers: every ticket takes as long as any other, two of the three models take 2 and 20 ms of it.
PLAIN: dict[str, Any] = {
    "prices": str(PRICES),
    "cpu_instance": "c7i.large",  # 0.08925 US dollars an hour, 2 vCPUs
    "gpu_instance": "g6.xlarge",  # 0.8048
    "profile": "flat",
    "tickets_per_day": 86_400.0,  # one a second
    "request_ms": 0.0,
    "utilisation": 0.5,
    "disk_gb": 0.0,
    "storage_gb": 0.0,
    "answer_kb": 0.0,
}


def params_here(**costs: Any) -> Params:
    """params.yaml with the price table by its full path, and other knobs of section costs."""
    params = params_of_tests()
    return params.model_copy(
        update={"costs": params.costs.model_copy(update={"prices": str(PRICES)} | costs)}
    )


def write_benchmark(path: Path, spread: bool = True, slowest: float = 0.9) -> Path:
    """A benchmark's report: the bundle 500 tickets/s a thread (450 to 550), the dense model 50 in PyTorch.

    Args:
        path: of the report.
        spread: whether it says how far its rounds are apart.
        slowest: a model's speed in its slowest round, as a share of its median.
    """
    report = benchmark("a" * 64)
    report |= {"tokens_mean": 20.0, "chars_mean": 90.0}
    report["machine"] |= {"cores": 2, "flags": ["avx2"]}
    for name, speed in {"cpu_bundle": 500.0, "dense_onnx_fp32": 100.0, "dense_torch_fp32": 50.0}.items():
        ends = (
            {"texts_per_second_low": slowest * speed, "texts_per_second_high": 1.1 * speed} if spread else {}
        )
        report["variants"][name] |= {
            "batch1": {"p50_ms": 1000 / speed, "p95_ms": 1000 / speed, "texts_per_second": speed} | ends,
            "batch8": {"texts_per_second": 1.25 * speed},
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report))
    return path


def plain_case(folder: Path, spread: bool = True, slowest: float = 0.9, **knobs: Any) -> Case:
    """The case of PLAIN with other knobs; the objective is 100 ms."""
    path = write_benchmark(folder / "benchmark.json", spread, slowest)
    return build_case(params_here(), PLAIN | knobs, path, TODAY)
