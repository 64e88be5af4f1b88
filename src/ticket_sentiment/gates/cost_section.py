"""What the release report says of cost."""

from typing import Any

from ticket_sentiment.gates.evidence_types import Benchmark
from ticket_sentiment.gates.speed_section import VARIANTS
from ticket_sentiment.gates.words import dollars, times


def cost_section(report: Benchmark) -> dict[str, Any]:
    """US dollars for a million tokens by both counts, and for a million tickets."""
    prices = report.cost
    exact, rough = prices.per_million_tokens_tokenizer, prices.per_million_tokens_rule_of_thumb
    tickets = {name: 1000 * thousand for name, thousand in prices.per_thousand_tickets.items()}
    ours, dense = exact.get("cpu_bundle"), exact.get("dense_torch_fp32")
    title = f"A million tokens cost {dollars(ours)}" if ours else "Cost"
    return {
        "title": f"{title}, {times(dense / ours)} less than with the dense model"
        if ours and dense
        else title,
        "rows": [
            (
                VARIANTS[name],
                *(dollars(table[name]) if name in table else "–" for table in (exact, rough, tickets)),
            )
            for name in VARIANTS
        ],
        "prices": prices,
        "gpu": f"A GPU machine ({prices.gpu.instance}, {dollars(prices.gpu.usd_per_hour)} an hour) "
        f"is cheaper a ticket only from {prices.gpu.break_even_tickets_per_second:,.0f} tickets a second.",
    }


def cost_line(report: Benchmark) -> str:
    """For the summary."""
    cost = report.cost.per_million_tokens_tokenizer
    prices = {
        " a million tokens": cost.get("cpu_bundle"),
        " with the dense model": cost.get("dense_torch_fp32"),
    }
    costs = ", ".join(f"{dollars(value)}{what}" for what, value in prices.items() if value)
    return f"{costs} ({report.cost.instance}, price of {report.cost.price_date})"
