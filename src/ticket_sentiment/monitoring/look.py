"""One look at the model in service: what was seen, what of it is an alarm, and what a person gets of it."""

import shutil
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ticket_sentiment.alerts.memory import Memory
from ticket_sentiment.alerts.tell import tell
from ticket_sentiment.events import retrainings
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.events.retrainings import EarlyRetraining
from ticket_sentiment.events.types import EventStoreUnavailable
from ticket_sentiment.files import write_text
from ticket_sentiment.monitoring.alarms import ALARM_KEY, Alarm, alarms, blind
from ticket_sentiment.monitoring.facts import Facts, gather
from ticket_sentiment.params import Monitor, Params

FOLDER = Path("var/monitor")


@dataclass(frozen=True)
class Look:
    """What was seen, and its alarms.

    Attributes:
        facts: what was seen; of a database that did not answer only the time, by this machine's clock.
        alarms: the gravest first.
        early: the last retraining that an alarm asked for.
    """

    facts: Facts
    alarms: tuple[Alarm, ...]
    early: EarlyRetraining | None = None

    def lines(self) -> list[str]:
        """For the end of a run."""
        if self.alarms:
            return [f"{alarm.name}: {alarm.summary}" for alarm in self.alarms]
        if self.facts.champion is None:
            return ["No model is in service yet."]
        return ["No alarm."]


def look(params: Params, root: Path = Path()) -> Look:
    """Look once. A database that is away is an alarm, no error."""
    try:
        with closing(Ledger.open(params.events)) as ledger:
            found = gather(params, ledger, root)
            early = retrainings.last(ledger.database)
    except EventStoreUnavailable as error:
        return Look(Facts(datetime.now(UTC)), (blind(str(error)),))
    return Look(found, alarms(found, params), early)


def keep_pages(found: Facts, settings: Monitor, folder: Path = FOLDER) -> None:
    """Write Evidently's page of each window, by month: the latest, and the first of a day on which it moved.

    The folders of months before the last `keep_months` go.
    """
    month = folder / f"{found.now:%Y-%m}"
    for window in found.windows:
        if not window.page:
            continue
        name = f"{window.days:g}-days"
        write_text(month / f"{name}.html", window.page)
        moved = month / f"{name}-{found.now:%Y-%m-%d}.html"
        if any(test.drifted for test in window.tests.values()) and not moved.exists():
            write_text(moved, window.page)
    kept = sorted(path for path in folder.glob("[0-9]*-[0-9]*") if path.is_dir())
    for path in kept[: -settings.keep_months]:
        shutil.rmtree(path)


def tell_alarms(found: Look, params: Params) -> list[str]:
    """Send each alarm on its way; a line for each.

    An alarm that lasts is told again after `alerts.repeat_hours`, not at every look, nor when it comes back
    soon. Once it was gone for half of that time, it is over, and the next one is news.
    """
    told = [
        f"{alarm.name}: {'; '.join(tell(params.alerts, alarm.alert(found.facts.champion)))}"
        for alarm in found.alarms
    ]
    Memory.of(params.alerts).forget_gone(ALARM_KEY)
    return told


def ask_early(found: Look, params: Params) -> EarlyRetraining | None:
    """The early retraining that is to be started now; None where there is none.

    While a rollout is on there is none: a newer model is on its way already. One that was asked for and
    never got its run waits until then, and is started even where its alarm is gone: else it would keep the
    next one from being asked for.

    Raises:
        EventStoreUnavailable: the database does not answer.
    """
    settings = params.monitor.early_retraining
    reasons = [alarm.name for alarm in found.alarms if alarm.retrains]
    is_open = found.early is not None and found.early.run is None
    if not settings.enabled or found.facts.champion is None or found.facts.rollout:
        return None
    if not (reasons or is_open):
        return None
    cooldown = timedelta(days=settings.cooldown_days)
    with closing(Ledger.open(params.events)) as ledger:
        return retrainings.ask(ledger.database, found.facts.champion, reasons, cooldown)


def note_started(request: EarlyRetraining, run: str, params: Params) -> None:
    """Remember its run.

    Raises:
        EventStoreUnavailable: the database does not answer; the next look makes it again by its name.
    """
    with closing(Ledger.open(params.events)) as ledger:
        retrainings.started(ledger.database, request.number, run)
