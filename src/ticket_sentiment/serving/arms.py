"""Champion and challenger: which loaded bundle is which now, and who is answered by whom."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.access import HANG_S
from ticket_sentiment.rollout.assignment import Arm, assign
from ticket_sentiment.rollout.state import RolloutState
from ticket_sentiment.serving.classifier import Classifier

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Split:
    """One moment of the rollout. A request keeps the one that it met first."""

    champion: Classifier
    challenger: Classifier | None
    state: RolloutState | None
    challenger_held: bool = True  # true, too, where it has no share as the state's champion is away

    @property
    def epoch(self) -> int:
        return self.state.epoch if self.state else 0

    @property
    def on_trial(self) -> bool:
        """Whether both arms that the state names answer, so that meeting one of them is an exposure."""
        return (
            self.state is not None
            and self.challenger is not None
            and self.champion.release == self.state.champion
            and self.challenger.release == self.state.challenger
        )

    @property
    def not_loaded(self) -> int:
        """How many of the bundles that the state names this process does not hold."""
        if self.state is None:
            return 0
        missing_champion = self.champion.release != self.state.champion
        return missing_champion + (self.state.challenger is not None and not self.challenger_held)

    @property
    def shadow(self) -> bool:
        return self.state is not None and self.state.shadow and self.challenger is not None

    def choose(self, customer_id: str | None, ticket_id: str | None) -> tuple[Arm, Classifier]:
        """Who answers. The champion does where no challenger is loaded, and where no state is known."""
        if (
            self.challenger is not None
            and self.state is not None
            and assign(customer_id, ticket_id, self.state) == "challenger"
        ):
            return "challenger", self.challenger
        return "champion", self.champion

    def other(self, arm: Arm) -> tuple[Arm, Classifier | None]:
        """Who scores in shadow what `arm` answers."""
        return ("challenger", self.challenger) if arm == "champion" else ("champion", self.champion)


class Arms:
    """The loaded bundles in the roles that the rollout state gives them."""

    def __init__(
        self, classifiers: Sequence[Classifier], load: Callable[[str], Classifier] | None = None
    ) -> None:
        """Roles until a state is known.

        Args:
            classifiers: the champion of this build, then its challenger where it has one.
            load: gives a release that this build does not hold, or raises; called in a thread.
        """
        self.loaded = {classifier.release: classifier for classifier in classifiers}
        self._built = frozenset(self.loaded)
        self._load = load
        self._loading: dict[str, asyncio.Task[None]] = {}  # by release
        self._unavailable: dict[str, str] = {}  # releases that could not be loaded, and why
        self.split = Split(classifiers[0], classifiers[1] if len(classifiers) > 1 else None, None)

    async def take_over(self, state: RolloutState | None) -> None:
        """`_adopt` a state, and wait for what it names to be loaded: before it, this process is not ready."""
        self._adopt(state)
        if self._loading:
            await asyncio.wait(self._loading.values())

    def close(self) -> None:
        """Wait for no release any more."""
        for task in self._loading.values():
            task.cancel()

    def _adopt(self, state: RolloutState | None) -> None:
        """`apply` a state with what this process holds, and begin to load the rest, applied once it is there.

        So a load that takes long or hangs holds up no rollback. A release that cannot be loaded is asked for
        again with the next poll: its folder may still be on its way here.
        """
        if state is None:
            return
        for name in (state.champion, state.challenger):
            if name and self._load and name not in self.loaded and name not in self._loading:
                self._loading[name] = asyncio.create_task(self._take_up(name, self._load))
        if state != self.split.state:
            self.apply(state)

    async def _take_up(self, name: str, load: Callable[[str], Classifier]) -> None:
        try:
            self.loaded[name] = await _returned(
                partial(load, name), lambda: self._say_unavailable(name, f"it takes longer than {HANG_S} s")
            )
        except Exception as error:  # whatever is wrong with it, this process goes on with what it has
            reason = str(error) if isinstance(error, TicketSentimentError) else type(error).__name__
            self._say_unavailable(name, reason)
            return
        finally:
            del self._loading[name]
        self._unavailable.pop(name, None)
        logger.info("release %s is loaded", name[:12])
        self.apply(self.split.state)

    def _say_unavailable(self, name: str, reason: str) -> None:
        if self._unavailable.get(name) != reason:
            logger.warning("release %s cannot be loaded: %s", name[:12], reason)
        self._unavailable[name] = reason

    def apply(self, state: RolloutState | None) -> None:
        """Give the loaded bundles the roles of a state; None, as of a database that is away, keeps the last.

        A bundle that the state names and this process does not hold cannot answer: in a champion's place the
        present one stays, and nobody meets the challenger, as it would be compared with another; a
        challenger has no share.
        """
        if state is None:
            return
        champion = self.loaded.get(state.champion)
        challenger = self.loaded.get(state.challenger) if state.challenger else None
        for role, digest, found in (
            ("champion", state.champion, champion),
            ("challenger", state.challenger, challenger),
        ):
            if digest and found is None and digest not in self._loading:
                logger.warning("the %s of epoch %d, %s, is not loaded", role, state.epoch, digest[:12])
        on_trial = challenger if champion else None
        self.split = Split(champion or self.split.champion, on_trial, state, challenger is not None)
        kept = {*self._built, state.champion, state.challenger, self.split.champion.release}
        self.loaded = {name: classifier for name, classifier in self.loaded.items() if name in kept}
        logger.info(
            "rollout epoch %d: challenger %s, share %s, shadow %s",
            state.epoch,
            state.challenger and state.challenger[:12],
            state.challenger_share,
            state.shadow,
        )

    def of_version(self, version: str) -> tuple[Arm, Classifier] | None:
        """The loaded bundle of a version and its role now; one that has none is no champion."""
        if self.split.champion.version == version:
            return "champion", self.split.champion
        for classifier in self.loaded.values():
            if classifier.version == version:
                return "challenger", classifier
        return None

    async def follow(self, read: Callable[[], RolloutState | None], seconds: float) -> None:
        """Poll for the state for ever. A call that does not come back is waited for: a thread has no stop."""
        away = False

        def say(reason: object) -> None:
            nonlocal away
            if not away:
                logger.warning("the rollout state cannot be read (%s): the last one stays", reason)
            away = True

        while True:
            try:
                self._adopt(await _returned(read, lambda: say(f"no answer for {HANG_S} s")))
                away = False
            except Exception as error:  # of any database driver, whose text may hold a URL
                say(error if isinstance(error, TicketSentimentError) else type(error).__name__)
            await asyncio.sleep(seconds)


async def _returned(call: Callable[[], T], say: Callable[[], None]) -> T:
    """What a call in a thread returns; each HANG_S that it has not come back, `say` is told."""
    calling = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        while not (await asyncio.wait({calling}, timeout=HANG_S))[0]:
            say()
        return calling.result()
    finally:
        calling.cancel()
