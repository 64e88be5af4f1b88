"""The release report's part about cost: the answer, and what pruning and quantization make of it.

The rest is on the page of the cost itself, reports/cost.html.
"""

from typing import Any

from ticket_sentiment.gates.evidence_types import Cost
from ticket_sentiment.gates.speed_section import VARIANTS
from ticket_sentiment.gates.words import dollars


def _usd(value: float | None, factor: float = 1.0) -> str:
    return "–" if value is None else dollars(factor * value)


def cost_section(report: Cost) -> dict[str, Any]:
    """What a month costs, on what and otherwise, and US dollars for a million tokens by both counts."""
    return {
        "title": report.answer.title,
        "lines": report.answer.lines,
        "rows": [
            (
                VARIANTS[name],
                _usd(one.usd_per_million_tokens_tokenizer),
                _usd(one.usd_per_million_tokens_rule_of_thumb),
                _usd(one.usd_per_thousand_tickets, 1_000),
            )
            for name in VARIANTS
            for one in (getattr(report.variants, name),)
        ],
        "cpu": report.cpu,
        "warnings": report.warnings,
        "assumptions": report.assumptions,
    }


def cost_lines(report: Cost) -> list[str]:
    """The same in two lines."""
    ours, dense = report.variants.cpu_bundle, report.variants.dense_torch_fp32
    exact, before = ours.usd_per_million_tokens_tokenizer, dense.usd_per_million_tokens_tokenizer
    busy = f"{_usd(exact)} a million tokens on machines that are always busy"
    return [report.answer.title, f"{busy}, {_usd(before)} with the dense model"]
