"""What a mutation is, and all of them."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.mutations.workplace import Workplace


@dataclass(frozen=True)
class Mutation:
    """A damage, and the gate that is there to stop it.

    Attributes:
        name: what is wrong.
        how: what was done.
        gate: that must stop it.
        make: does it, in the current folder.
        demo_only: needs a model that understands language.
    """

    name: str
    how: str
    gate: str
    make: Callable[[Workplace], None]
    demo_only: bool


MUTATIONS: list[Mutation] = []


def mutation(
    gate: str, name: str, how: str, demo_only: bool = False
) -> Callable[[Callable[[Workplace], None]], Callable[[Workplace], None]]:
    """Put a function among the mutations."""

    def add(make: Callable[[Workplace], None]) -> Callable[[Workplace], None]:
        MUTATIONS.append(Mutation(name, how, gate, make, demo_only))
        return make

    return add


def collect() -> list[Mutation]:
    """All of them, in the order of their files."""
    if not MUTATIONS:
        from benchmarks.mutations import of_candidates, of_reports, of_tables, of_tickets  # noqa: F401
    return MUTATIONS
