"""The answers in words, the same in the terminal, on the page and in the release report.

The first question is a support lead's: what do I pay a month for so many tickets a day, on what, and what
would it be otherwise.
"""

from collections.abc import Mapping
from typing import Any

from ticket_sentiment.gates.words import dollars, share, times

Figures = Mapping[str, Any]
BOUGHT = {"on_demand": "on demand", "spot": "as spot", "reserved": "reserved for a year"}
NAMES = {
    "cpu_bundle": "this bundle",
    "dense_onnx_fp32": "dense, ONNX Runtime",
    "dense_torch_fp32": "dense, PyTorch",
}


def usd(value: float | None) -> str:
    """US dollars: whole ones from 10 on, else two digits that count."""
    if value is None:
        return "–"
    if value >= 9.995:
        return f"${value:,.0f}"
    return dollars(value) if value > 0 else "$0"


def short(value: float) -> str:
    """A number with three digits that count: "0.0231", "4,630", "81.2 million"."""
    if value >= 1e6:
        size, word = (1e9, "billion") if value >= 1e9 else (1e6, "million")
        return f"{short(value / size)} {word}"
    return f"{float(f'{value:.3g}'):,.15g}"


def span(instances: list[int]) -> str:
    """[2, 2] as "2", [2, 5] as "2 to 5"."""
    low, high = instances
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def machines(option: Figures) -> str:
    """Instances of a way to serve: "2", "2 GPU", "2 to 5 + 0 to 1 GPU"."""
    cpu, gpu = span(option["cpu_instances"]), f"{span(option['gpu_instances'])} GPU"
    if not option["gpu_instances"][1]:
        return cpu
    return f"{cpu} + {gpu}" if option["cpu_instances"][1] else gpu


def title(found: Figures) -> str:
    """What is paid a month, for what, on what."""
    own = found["options"][0]
    return (
        f"{found['traffic']['tickets_per_day']:,.0f} tickets a day cost "
        f"{usd(found['month']['total'])} a month on "
        f"{span(own['cpu_instances'])} {found['cpu']['instance']}, {BOUGHT[found['purchase']]}"
    )


def otherwise(found: Figures) -> str:
    """What the same would cost bought or done in other ways."""
    parts = []
    by_kind = {one["kind"]: one for one in found["options"]}
    for purchase, words in BOUGHT.items():
        if purchase != found["purchase"] and (one := by_kind.get(f"cpu_{purchase}")):
            parts.append(f"{usd(one['usd_per_month'])} {words}")
    gpu = by_kind["gpu_on_demand"]
    parts.append(
        f"{usd(gpu['usd_per_month'])} on {span(gpu['gpu_instances'])} {found['gpu']['instance']} "
        "(GPU, on demand)"
    )
    parts.append(f"{usd(found['batch']['usd_per_month'])} as one run a night instead of at once")
    return f"Otherwise it would be {', '.join(parts)}."


def _per_second(value: float) -> str:
    return f"{value:,.0f} tickets a second"


def gpu_answer(found: Figures) -> str:
    """From when a GPU is cheaper."""
    even, gpu = found["break_even"], found["gpu"]
    name = gpu["instance"]
    does = f"a {name} that does {_per_second(gpu['tickets_per_second_at_objective'])}"
    if gpu["assumed"]:
        needed = _per_second(even["gpu_tickets_per_second_needed"])
        floor = even["any_gpu"]
        if floor["tickets_per_day"] is None:
            return f"Serving on {name} alone is not cheaper at any traffic, however fast{_uncertain(floor)}."
        return (
            f"Below {short(floor['tickets_per_day'])} tickets a day serving on {name} alone is not cheaper, "
            f"however fast{_uncertain(floor)}; above, only one that does more than {needed}."
        )
    if even["tickets_per_day"] is None:
        return f"Serving on {does} alone is not cheaper at any traffic."
    enough = f"{short(even['tickets_per_day'])} tickets a day{_uncertain(even)}"
    return f"Serving on {does} alone is cheaper from {enough}."


def _range(ends: list[float | None]) -> str:
    low, high = ("never" if end is None else short(end) for end in ends)
    return low if low == high else f"{low} to {high}"


def _uncertain(even: Figures) -> str:
    parts = []
    if even["by_speed"] is not None:
        parts.append(f"{_range(even['by_speed'])} over the measured speeds")
    parts.append(f"{_range(even['by_price'])} over the ways to buy both")
    return f" ({'; '.join(parts)})"


def mix_answer(found: Figures) -> str:
    """Whether GPUs for the peaks pay."""
    mix = found["hybrid"]
    if not mix["gpu_hours_a_week"]:
        speed = " with one of the assumed speed" if found["gpu"]["assumed"] else ""
        return f"GPUs for the peaks alone save nothing at this traffic{speed}: the cheapest mix holds none."
    return (
        f"The cheapest mix runs {span(mix['cpu_instances'])} {found['cpu']['instance']} and, in "
        f"{mix['gpu_hours_a_week']} hours of the week, up to {mix['gpu_instances'][1]:,} "
        f"{found['gpu']['instance']}: "
        f"{usd(mix['saves_usd_per_month'])} a month less than CPUs alone."
    )


def saving(found: Figures) -> str:
    """What pruning and quantization save against the dense model, at this traffic and at full use."""
    ours, dense = found["variants"]["cpu_bundle"], found["variants"]["dense_torch_fp32"]
    key = "usd_per_million_tokens_tokenizer"
    if dense[key] is None:
        return f"The dense model in PyTorch cannot answer within {found['objective']['ms']:g} ms at any load."
    full = (
        f"Pruning and int8 save {share(1 - ours[key] / dense[key])} on machines that are always "
        "busy: a million "
        f"tokens cost {usd(ours[key])}, with the dense model in PyTorch {usd(dense[key])}."
    )
    less = dense["usd_per_month"] - ours["usd_per_month"]
    if less < 0.005:
        return f"{full} At this traffic they save nothing: {found['min_replicas']} machines run for either."
    ratio = dense["usd_per_month"] / ours["usd_per_month"]
    return f"{full} At this traffic they save {usd(less)} a month, {times(ratio)} less."


def ways(found: Figures) -> str:
    """The cheapest way to answer at once, beside the one of params.yaml."""
    own, *others = found["options"]
    best = min(others, key=lambda one: one["usd_per_month"])
    if best["usd_per_month"] < own["usd_per_month"]:
        less = share(1 - best["usd_per_month"] / own["usd_per_month"])
        return (
            f"Cheapest to answer at once: {best['name']}, {usd(best['usd_per_month'])} a month, {less} less"
        )
    return f"No other way to answer at once is cheaper than {usd(own['usd_per_month'])} a month"


def answers(found: Figures) -> dict[str, Any]:
    """All of it: `title` and `lines`, whole sentences."""
    return {
        "title": title(found),
        "lines": [otherwise(found), gpu_answer(found), mix_answer(found), saving(found)],
    }
