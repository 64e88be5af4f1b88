"""The options of `ticket-sentiment cost`; it imports nothing that takes time."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

OPTIONS = {  # option: key of section costs that it goes before, type, help
    "tickets-per-day": ("tickets_per_day", float, "of a mean day"),
    "profile": ("profile", str, "office, flat, or a CSV with the columns hour and tickets"),
    "cache-hit-rate": ("cache_hit_rate", float, "share of the tickets that the cache answers"),
    "min-replicas": ("min_replicas", int, "machines that always run"),
    "utilisation": ("utilisation", float, "most of a machine's time that is planned with"),
    "purchase": ("purchase", str, "on_demand, spot or reserved"),
    "cpu-instance": ("cpu_instance", str, "type, as in the price table"),
    "gpu-instance": ("gpu_instance", str, "type, as in the price table"),
    "gpu-throughput": (
        "gpu_tickets_per_second",
        float,
        "tickets a second of one GPU machine at the objective",
    ),
    "service-throughput": (
        "service_tickets_per_second",
        float,
        "requests a second of the whole service on one CPU machine (python -m benchmarks.serving)",
    ),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    for option, (key, kind, text) in OPTIONS.items():
        parser.add_argument(f"--{option}", dest=key, type=kind, metavar="VALUE", help=text)
    parser.add_argument("--benchmark", type=Path, metavar="FILE", default=Path("reports/benchmark.json"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the page, which opens in a browser")
    parser.add_argument(
        "--update-prices",
        metavar="FILE_OR_URL",
        help="instead: AWS's price list of EC2 (CSV or JSON), or a price table, into the price table",
    )


KEYS = tuple(key for key, *_ in OPTIONS.values())


def given(arguments: argparse.Namespace, keys: Iterable[str] = KEYS) -> dict[str, Any]:
    """Of these options those that a person gave; by default by key of section costs."""
    return {key: value for key in keys if (value := getattr(arguments, key)) is not None}
