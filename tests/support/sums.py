"""From one row a unit and cell to the sums over units that `evidence` carries."""

from collections import defaultdict
from collections.abc import Iterable

from ticket_sentiment.rollout.assignment import Arm
from ticket_sentiment.rollout.evidence import CrossSums, UnitSums

Cell = tuple[int, Arm]  # an arm in an epoch
Row = tuple[str, int, Arm, int, int]  # unit, epoch, arm, requests (n), bad outcomes (y)


def sums_of_units(
    rows: Iterable[Row],
) -> tuple[dict[Cell, UnitSums], dict[tuple[Cell, Cell], CrossSums]]:
    """Sums of each cell, and of each pair of cells in two epochs that share units.

    Args:
        rows: one for each unit in each cell, in any order; a second row of the same unit and cell is added
            to the first.

    Returns:
        Cells with a request; and pairs of cells, the earlier epoch first, with a unit in both. What is not
        there is zero.
    """
    units: dict[str, dict[Cell, tuple[int, int]]] = defaultdict(dict)
    for unit, epoch, arm, n, y in rows:
        before = units[unit].get((epoch, arm), (0, 0))
        units[unit][epoch, arm] = (before[0] + n, before[1] + y)
    cells: dict[Cell, list[int]] = defaultdict(lambda: [0] * 6)
    pairs: dict[tuple[Cell, Cell], list[int]] = defaultdict(lambda: [0] * 5)
    for counts in units.values():
        met = sorted((cell, n, y) for cell, (n, y) in counts.items() if n)
        for index, (cell, n, y) in enumerate(met):
            _add(cells[cell], (1, n, y, n * n, n * y, y * y))
            for other, m, z in met[index + 1 :]:
                if other[0] > cell[0]:
                    _add(pairs[cell, other], (1, n * m, n * z, y * m, y * z))
    return (
        {cell: UnitSums(*values) for cell, values in cells.items()},
        {pair: CrossSums(*values) for pair, values in pairs.items()},
    )


def _add(total: list[int], values: tuple[int, ...]) -> None:
    for index, value in enumerate(values):
        total[index] += value
