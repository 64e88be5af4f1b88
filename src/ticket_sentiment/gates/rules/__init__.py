"""The gates themselves, one file each, failing closed.

A gate is a pure function of the evidence and the thresholds. Evidence that it needs and that is missing,
null, not a number, stale or about something else is `fail`, with a sentence that says so.

To add one, add one file here: it is found by itself. It holds one function that is named as the file and
decorated with `@gate(question, place=...)`; the thresholds are keys of section `gate` of params.yaml.
"""

import pkgutil
from importlib import import_module

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.fail_closed import Gate

__all__ = ["GATES", "gates_for"]


def _find() -> dict[str, Gate]:
    """The gates of all files here, in the order in which they are told."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    found = [getattr(import_module(f"{__name__}.{name}"), name) for name in names]
    return {one.name: one for one in sorted(found, key=lambda one: one.place)}


GATES = _find()


def gates_for(evidence: Evidence) -> list[Gate]:
    """Those that a result is judged by: a hotfix by one more."""
    return [one for one in GATES.values() if one.applies(evidence)]
