"""How much electricity a model takes: an estimate from measured time, with its assumptions stated.

E = t (n P_core u + m P_memory) PUE: runtime, cores, power of a core, its usage, memory and power of that, and
what the data centre adds (power usage effectiveness). Lannelongue, Grealey, Inouye 2021, "Green Algorithms:
Quantifying the Carbon Footprint of Computation", Advanced Science 8(12):2100707; its defaults are those of
params.yaml. A meter at the plug goes before it.
"""

from ticket_sentiment.gates.evidence_types import Benchmark, Variant
from ticket_sentiment.gates.words import number
from ticket_sentiment.params import Report

SECONDS_PER_HOUR = 3600


def watt_hours(variant: Variant, threads: int, tickets: int, settings: Report) -> float:
    """Estimated electricity for tickets that are scored one at a time by cores that do nothing else.

    Args:
        variant: a model's measured throughput and memory.
        threads: cores that it was measured on, each fully used.
        tickets: how many.
        settings: power of a core and of memory, in watts and watts a GB; the data centre's factor.
    """
    hours = tickets / variant.batch1.texts_per_second / SECONDS_PER_HOUR
    memory_gb = variant.peak_memory_mb / 1000
    watts = threads * settings.watts_per_core + memory_gb * settings.watts_per_gb
    return hours * watts * settings.pue


def assumptions(report: Benchmark, settings: Report) -> str:
    """What the estimate rests on, in a sentence."""
    cores = "core" if report.threads == 1 else "cores"
    return (
        f"Estimated, not metered: seconds on {report.threads} fully used {cores} of {report.machine.cpu} × "
        f"{number(settings.watts_per_core, 1)} W a core, plus {number(settings.watts_per_gb, 4)} W for each "
        f"GB of memory, × {number(settings.pue)} for the data centre (Green Algorithms, Lannelongue et al. "
        "2021). Idle machines, network, storage and training are not in it."
    )
