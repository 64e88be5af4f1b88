"""How the tickets of a week are spread over its hours."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ticket_sentiment.errors import TicketSentimentError

DAY, WEEK = 24, 168  # hours
# Made up, for want of a measured one: weekdays 8 to 18 full, two hours before and four after at 40 %, nights
# 10 %, a weekend's hour 30 % of a weekday's.
WEEKDAY = [0.1] * 6 + [0.4] * 2 + [1.0] * 10 + [0.4] * 4 + [0.1] * 2
SHAPES = {"flat": [1.0] * WEEK, "office": WEEKDAY * 5 + [0.3 * one for one in WEEKDAY] * 2}


@dataclass(frozen=True)
class Traffic:
    """Tickets of a mean day, and the share of a week's tickets that each of its 168 hours brings."""

    name: str
    tickets_per_day: float
    shares: NDArray[np.float64]  # [168], Monday 00:00 first, sums to 1

    def per_second(self) -> NDArray[np.float64]:
        """Tickets a second in each hour of the week, [168]."""
        return self.tickets_per_day * 7 * self.shares / 3600

    @property
    def busiest_day(self) -> float:
        """Tickets of the busiest day of the week, as a multiple of the mean day's."""
        return float(self.shares.reshape(-1, DAY).sum(axis=1).max()) * WEEK / DAY


def _counts(path: Path) -> list[float]:
    """The column `tickets` of a CSV with one row for each hour of a day or of a week."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        raise TicketSentimentError(
            f"costs.profile: {path} is missing: give a CSV, or one of {', '.join(SHAPES)}"
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TicketSentimentError(f"costs.profile: {path} cannot be read ({error}): give a CSV") from None
    if len(rows) not in (DAY, WEEK):
        raise TicketSentimentError(
            f"{path}: {len(rows)} rows, expected {DAY} (the hours of a day) or {WEEK} (of a week "
            "from Monday 00:00)"
        )
    counts = []
    for number, row in enumerate(rows):
        hour, tickets = row.get("hour"), row.get("tickets")
        if hour is None or hour.strip() != str(number):
            raise TicketSentimentError(f"{path}: row {number + 2}: column hour: {hour}, expected {number}")
        try:
            value = float(tickets or "")
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            raise TicketSentimentError(
                f"{path}: row {number + 2}: column tickets: {tickets}, expected a number from 0"
            )
        counts.append(value)
    if not sum(counts):
        raise TicketSentimentError(f"{path}: column tickets: all 0, expected some tickets")
    return counts


def read_traffic(profile: str, tickets_per_day: float | None) -> Traffic:
    """The traffic of a week.

    Args:
        profile: `flat`, `office`, or the path of a CSV with the columns hour (from 0) and tickets.
        tickets_per_day: of a mean day; None takes what the CSV holds.

    Raises:
        TicketSentimentError: the file is missing or malformed, with row and column, or no number is known.
    """
    if profile in SHAPES:
        if tickets_per_day is None:
            raise TicketSentimentError("costs.tickets_per_day: needed, as the profile is no file of counts")
        counts, days = SHAPES[profile], 7
    else:
        counts = _counts(Path(profile))
        days = 7 if len(counts) == WEEK else 1
    total = sum(counts)
    shares = np.array(counts if days == 7 else counts * 7) / (total * (7 // days))
    return Traffic(profile, total / days if tickets_per_day is None else tickets_per_day, shares)
