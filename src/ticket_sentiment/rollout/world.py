"""A made-up help desk for the simulator: customers, tickets, two models, and labels that come late.

It makes `Evidence` as the event database would give it, look after look, while the policy under trial moves
the challenger's share. Customers differ: a few send most tickets, some tickets are harder than others, some
fail or are slow more often, each for both models alike.
"""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from math import log

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ticket_sentiment.params import Rollout
from ticket_sentiment.rollout.assignment import ARMS, Arm
from ticket_sentiment.rollout.evidence import (
    ByArm,
    Coverage,
    CrossSums,
    EpochEvidence,
    Evidence,
    FirstLabels,
    Overlap,
    PairedCounts,
    UnitSums,
)
from ticket_sentiment.rollout.scenario import Scenario, Traffic

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
CHAMPION, CHALLENGER = "c" * 64, "d" * 64
ONLY_CHAMPION, ONLY_CHALLENGER, BOTH_WRONG = 1, 2, 3  # 0: both models are right
NOTHING = np.zeros((5, 0))  # audited tickets: when, customer, whether the challenger's, outcome, cell


class World:
    """One rollout's customers and counts; `step` moves the clock to the next look."""

    def __init__(
        self,
        scenario: Scenario,
        traffic: Traffic,
        settings: Rollout,
        objective_ms: float,
        random: np.random.Generator,
    ) -> None:
        self.scenario, self.traffic, self.settings, self.random = scenario, traffic, settings, random
        count = traffic.customers
        rates = np.exp(traffic.customer_spread * random.standard_normal(count))
        self._cumulative = np.cumsum(rates) / rates.sum()
        self._bucket = random.random(count)
        self._outcomes = self._outcome_edges(self._hardship(count), count)
        self._failing = [
            np.minimum(self._hardship(count) * scenario.errors + more, 1)
            for more in (0.0, scenario.more_errors)
        ]
        self._slow = self._slow_shares(objective_ms, count)
        self._look_hours = 24 / traffic.looks_per_day
        self.looks = 0
        self.tickets = 0
        self.step_index, self.step_look = 0, 0
        self.epoch = 1
        self._epochs: list[tuple[int, float, int]] = []  # epoch, share, look at which it began
        self._served: list[NDArray[np.int64]] = []  # of each cell [n, failed, slow] by customers
        self._judged: list[NDArray[np.int64]] = []  # of each cell [n, wrong] by customers
        self._asked: list[NDArray[np.int64]] = []  # of each cell [old enough for a label, without one]
        self._exposures: list[list[int]] = []  # of each epoch, new customers of each arm
        self._met = np.zeros(count, dtype=bool)
        self._paired = np.zeros(4, dtype=np.int64)
        self._stretches = np.empty(0, dtype=np.int64)  # of a customer's time, those with a pair
        self._first_at = np.full(count, np.inf)
        self._first_cell = np.full(count, -1)
        self._first_right = np.zeros(count, dtype=bool)
        self._coverage = np.zeros((2, 2), dtype=np.int64)  # mature, labelled; of each arm
        self._matured: dict[int, list[NDArray[np.float64]]] = defaultdict(list)
        self._labels: dict[int, list[NDArray[np.float64]]] = defaultdict(list)

    def _hardship(self, count: int) -> NDArray[np.float64]:
        """Of each customer, 1 on average."""
        spread = self.scenario.hardship
        return self.random.gamma(1 / spread, spread, count) if spread else np.ones(count)

    def _outcome_edges(self, hardship: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """[3, customers]: below the first both are right, then the champion alone, then the challenger."""
        truth = self.scenario
        wrong = 1 - truth.accuracy - (truth.disagreement + truth.gain) / 2
        both_wrong = np.minimum(hardship * wrong, 1 - truth.disagreement)
        wins = 0.5 + truth.gain / (2 * truth.disagreement)
        liked = np.clip(wins + truth.taste * self.random.standard_normal(count), 0, 1)
        edges = np.stack([(1 - liked) * truth.disagreement, liked * truth.disagreement, both_wrong])
        return np.cumsum(np.concatenate([[1 - edges.sum(axis=0)], edges[:2]]), axis=0)

    def _slow_shares(self, objective_ms: float, count: int) -> list[NDArray[np.float64]]:
        """Of each arm, by customers: some send longer tickets."""
        truth = self.scenario
        longer = 0.3 * self.random.standard_normal(count)
        rest = np.sqrt(truth.spread_ms**2 - 0.3**2)

        def shares(slower: float) -> NDArray[np.float64]:
            return ndtr((log(truth.median_ms * slower / objective_ms) + longer) / rest)

        if truth.more_slow is not None:
            return [shares(1.0), np.clip(shares(1.0) + truth.more_slow, 0, 1)]
        return [shares(1.0), shares(truth.slower)]

    def begin_step(self, index: int, share: float) -> None:
        """A new state of the rollout: from now on the challenger answers `share` of the customers."""
        self.step_index, self.step_look = index, self.looks
        self.epoch += 1
        self._epochs.append((self.epoch, share, self.looks))
        count = self.traffic.customers
        self._served += [np.zeros((3, count), dtype=np.int64) for _ in ARMS]
        self._judged += [np.zeros((2, count), dtype=np.int64) for _ in ARMS]
        self._asked += [np.zeros((2, count), dtype=np.int64) for _ in ARMS]
        self._exposures.append([0, 0])

    def step(self) -> None:
        """The tickets until the next look, and the labels that come until then."""
        random, hours = self.random, self._look_hours
        share = self._epochs[-1][1] if self._epochs else 0.0
        count = int(random.poisson(self.traffic.tickets_per_day * hours / 24))
        customers = np.minimum(
            np.searchsorted(self._cumulative, random.random(count)), self.traffic.customers - 1
        )
        challenged = self._bucket[customers] < share
        failing = np.where(challenged, self._failing[1][customers], self._failing[0][customers])
        failed = random.random(count) < failing
        if share:
            slowness = np.where(challenged, self._slow[1][customers], self._slow[0][customers])
            self._serve(customers, challenged, failed, random.random(count) < slowness)
        drawn = np.flatnonzero((random.random(count) < self.settings.audit_share) & ~failed)
        self._ask_for_labels(customers[drawn], challenged[drawn])
        self.tickets += count
        self.looks += 1
        self._receive()

    def _serve(
        self,
        customers: NDArray[np.int64],
        challenged: NDArray[np.bool_],
        failed: NDArray[np.bool_],
        slow: NDArray[np.bool_],
    ) -> None:
        total = self.traffic.customers
        for arm in (0, 1):
            chosen = challenged == bool(arm)
            who = customers[chosen]
            cell = self._served[-2 + arm]
            cell[0] += np.bincount(who, minlength=total)
            cell[1] += np.bincount(who[failed[chosen]], minlength=total)
            cell[2] += np.bincount(who[slow[chosen]], minlength=total)
            new = np.unique(who[~self._met[who]])
            self._met[new] = True
            lost = self.scenario.lost_exposures if arm else 0.0
            self._exposures[-1][arm] += int(self.random.binomial(len(new), 1 - lost))

    def _ask_for_labels(self, customers: NDArray[np.int64], challenged: NDArray[np.bool_]) -> None:
        """Of audited tickets: when each gets its label, if ever, and is old enough to count."""
        random, count = self.random, len(customers)
        at = (self.looks + random.random(count)) * self._look_hours
        mature = at + self.settings.maturity_hours
        delay = self.traffic.label_hours * np.exp(self.traffic.label_spread * random.standard_normal(count))
        kept = self.traffic.label_share * np.where(challenged, 1 - self.scenario.lost_labels, 1.0)
        labelled = random.random(count) < kept
        outcomes = (random.random(count) >= self._outcomes[:, customers]).sum(axis=0)
        cell = np.where(challenged, 1, 0) + 2 * (len(self._epochs) - 1)
        rows = np.stack([at, customers, challenged, outcomes, cell])
        self._put(self._matured, mature, rows)
        self._put(self._labels, np.maximum(mature, at + delay)[labelled], rows[:, labelled])

    def _put(
        self, waiting: dict[int, list[NDArray[np.float64]]], hours: NDArray[np.float64], rows: NDArray
    ) -> None:
        looks = self._look_of(hours)
        for look in np.unique(looks):
            waiting[int(look)].append(rows[:, looks == look])

    def _look_of(self, hours: NDArray[np.float64]) -> NDArray[np.int64]:
        """The first look at or after a time."""
        return np.ceil(hours / self._look_hours).astype(np.int64)

    def _receive(self) -> None:
        """Count what became mature since the last look."""
        total = self.traffic.customers
        mature = np.concatenate([NOTHING, *self._matured.pop(self.looks, [])], axis=1)[1:].astype(np.int64)
        self._coverage[:, 0] += np.bincount(mature[1], minlength=2)
        for cell in np.unique(mature[3][mature[3] >= 0]):
            self._asked[cell] += np.bincount(mature[0][mature[3] == cell], minlength=total)
        rows = np.concatenate([NOTHING, *self._labels.pop(self.looks, [])], axis=1)
        at, (customers, challenged, outcomes, cells) = rows[0], rows[1:].astype(np.int64)
        self._pair(at, customers, outcomes)
        self._coverage[:, 1] += np.bincount(challenged, minlength=2)
        wrong = (outcomes == BOTH_WRONG) | (outcomes == np.where(challenged, ONLY_CHAMPION, ONLY_CHALLENGER))
        for cell in np.unique(cells[cells >= 0]):
            chosen = cells == cell
            came = np.bincount(customers[chosen], minlength=total)
            self._judged[cell][0] += came
            self._asked[cell][1] -= came
            self._judged[cell][1] += np.bincount(customers[chosen & wrong], minlength=total)
        ramp = np.flatnonzero(cells >= 0)
        order = ramp[np.argsort(at[ramp])]
        who, first = np.unique(customers[order], return_index=True)
        ticket = order[first]
        earlier = at[ticket] < self._first_at[who]
        who, ticket = who[earlier], ticket[earlier]
        self._first_at[who], self._first_cell[who] = at[ticket], cells[ticket]
        self._first_right[who] = ~wrong[ticket]

    def _pair(
        self, at: NDArray[np.float64], customers: NDArray[np.int64], outcomes: NDArray[np.int64]
    ) -> None:
        """Of a customer one in `pair_hours`."""
        stretch = np.floor(at / self.settings.pair_hours).astype(np.int64)
        keys, first = np.unique(stretch * self.traffic.customers + customers, return_index=True)
        new = ~np.isin(keys, self._stretches)
        self._paired += np.bincount(outcomes[first[new]], minlength=4)
        self._stretches = np.concatenate([self._stretches, keys[new]])

    @property
    def days(self) -> float:
        """Since the rollout began."""
        return self.looks / self.traffic.looks_per_day

    @property
    def paired_labels(self) -> int:
        """Audited tickets with a mature label that count as pairs."""
        return int(self._paired.sum())

    def evidence(self, hotfix: bool) -> Evidence:
        """As it stands at this look. Tickets come all the time and both answer: nothing is ever missed."""
        return Evidence(
            at=self._time(self.looks),
            epoch=self.epoch,
            champion=CHAMPION,
            challenger=CHALLENGER,
            hotfix=hotfix,
            rollout_since=BEGIN,
            step=self.step_index,
            step_since=self._time(self.step_look),
            paired=PairedCounts(*map(int, self._paired)),
            epochs=(found := self._ramp())[0],
            overlaps=found[1],
            coverage=ByArm(*(Coverage(int(mature), int(labels)) for mature, labels in self._coverage)),
            missed_looks=0,
        )

    def _time(self, looks: int) -> datetime:
        return BEGIN + timedelta(hours=looks * self._look_hours)

    def _ramp(self) -> tuple[tuple[EpochEvidence, ...], tuple[Overlap, ...]]:
        if not self._epochs:
            return (), ()
        served, judged, asked = (_Products(cells) for cells in (self._served, self._judged, self._asked))
        ever = [self._first_cell == cell for cell in range(len(self._served))]
        firsts = [FirstLabels(int(e.sum()), int((e & self._first_right).sum())) for e in ever]

        def arms(make):  # type: ignore[no-untyped-def]
            return [ByArm(make(cell), make(cell + 1)) for cell in range(0, len(self._served), 2)]

        columns = zip(
            self._epochs,
            self._exposures,
            arms(firsts.__getitem__),
            arms(lambda cell: judged.own(cell, 1)),
            arms(lambda cell: served.own(cell, 1)),
            arms(lambda cell: served.own(cell, 2)),
            arms(lambda cell: asked.own(cell, 1)),
            strict=True,
        )
        epochs = tuple(
            EpochEvidence(epoch, share, self._time(began), ByArm(*exposures), *sums)
            for (epoch, share, began), exposures, *sums in columns
        )
        names: list[tuple[int, Arm]] = [(epoch, arm) for epoch, _, _ in self._epochs for arm in ARMS]
        overlaps = tuple(
            Overlap(
                *(names[a][0], names[b][0], names[a][1], names[b][1]),
                quality=judged.cross(a, b, 1),
                errors=served.cross(a, b, 1),
                slow=served.cross(a, b, 2),
                unlabelled=asked.cross(a, b, 1),
            )
            for a in range(len(names))
            for b in range(a + 2 - a % 2, len(names))
            if served.products[served.at(a, 0), served.at(b, 0)]
        )
        return epochs, overlaps


class _Products:
    """Sums of products over customers, of all counts of all cells at once."""

    def __init__(self, cells: list[NDArray[np.int64]]) -> None:
        self._width = len(cells[0]) + 1
        rows = np.concatenate([np.concatenate([cell, cell[:1] > 0]) for cell in cells]).astype(float)
        self._sums = rows.sum(axis=1)
        self.products = rows @ rows.T  # exact: whole numbers far below 2**53

    def at(self, cell: int, count: int) -> int:
        """Row of a count (0: requests, then bad outcomes; the last: whether there is any) of a cell."""
        return cell * self._width + count

    def own(self, cell: int, bad: int) -> UnitSums:
        """Of one kind of bad outcome."""
        n, y, some = self.at(cell, 0), self.at(cell, bad), self.at(cell, self._width - 1)
        products, sums = self.products, self._sums
        return UnitSums(
            *map(int, (sums[some], sums[n], sums[y], products[n, n], products[n, y], products[y, y]))
        )

    def cross(self, first: int, second: int, bad: int) -> CrossSums:
        """Of one kind of bad outcome in two cells."""
        n, m = self.at(first, 0), self.at(second, 0)
        y, z = self.at(first, bad), self.at(second, bad)
        some, other = self.at(first, self._width - 1), self.at(second, self._width - 1)
        pairs = ((some, other), (n, m), (n, z), (y, m), (y, z))
        return CrossSums(*(int(self.products[pair]) for pair in pairs))
