"""The two ends of a hotfix: from corrections to the folder of its stages, and from there to MLflow."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json
from ticket_sentiment.hotfix.champion import Champion, read_champion
from ticket_sentiment.hotfix.folder import BUNDLE, lay_out
from ticket_sentiment.hotfix.intake import gather_feedback, keep, remember
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.model.runtime import Runtime
from ticket_sentiment.params import Params, load_params
from ticket_sentiment.registry.registry import Registration, register
from ticket_sentiment.registry.store import asking, champion_version, connect
from ticket_sentiment.tickets.corrections import content_digest, read_corrections
from ticket_sentiment.tickets.hotfix import corrected_tickets


@dataclass(frozen=True)
class Started:
    """Where the stages of a hotfix are to be run."""

    folder: Path | None  # None: the champion is this hotfix already
    lines: tuple[str, ...]  # for a person


def since_when(text: str) -> datetime:
    """A date such as 2026-11-01 (UTC), or a time with an offset.

    Raises:
        TicketSentimentError: it is neither, or in the future.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise TicketSentimentError(
            "--feedback-since: expected a date such as 2026-11-01, or a time such as 2026-11-01T12:00:00Z"
        ) from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    if at > datetime.now(UTC):
        raise TicketSentimentError("--feedback-since: lies in the future")
    return at


@asking("the hotfix is not begun")
def start(
    params: Params, file: Path | None = None, feedback_since: str | None = None, root: Path = Path()
) -> Started:
    """Take corrections in, and lay out the folder of their hotfix of the present champion.

    May be repeated: the same corrections on the same champion are the same folder.

    Args:
        params: of params.yaml.
        file: of corrected tickets; or
        feedback_since: people's labels since then.
        root: the repository.

    Raises:
        TicketSentimentError: not one of both is given, the corrections are not in order, the champion
            cannot be reached, or it answers all of them right.
    """
    if (file is None) == (feedback_since is None):
        raise TicketSentimentError("name a file of corrected tickets or --feedback-since, one of both")
    store = connect(params, root)
    champion = read_champion(store, root)
    corrections, lines = _corrections(params, file, feedback_since, root)
    digest = content_digest(corrections)
    if champion.corrections == digest:
        line = f"the champion, version {champion.version}, was made from these corrections: nothing to do"
        return Started(None, (*lines, line))
    entry = keep(corrections, root)
    if file is not None:
        lines.append(remember(corrections, params, root).line())
    folder = lay_out(store, champion, entry, digest, root)
    _require_wrong(folder, champion, corrections)
    return Started(folder, tuple(lines))


def _require_wrong(folder: Path, champion: Champion, corrections: pd.DataFrame) -> None:
    """Refuse corrections that the champion needs no training for; the gate would, much later."""
    runtime = Runtime(load_bundle(folder / BUNDLE))
    tickets = corrected_tickets(corrections)
    answered = [LABELS[index] for index in runtime.logits(tickets["text"].tolist()).argmax(axis=1)]
    if (tickets["label"] == answered).all():
        raise TicketSentimentError(
            f"the champion, version {champion.version}, answers all of the {len(tickets):,} corrected "
            "tickets right already: nothing to correct; correct the labels or name other tickets"
        )


def _corrections(
    params: Params, file: Path | None, feedback_since: str | None, root: Path
) -> tuple[pd.DataFrame, list[str]]:
    if file is not None:
        corrections = read_corrections(file, params)
        return corrections, [f"{file}: {len(corrections):,} corrected tickets"]
    gathered = gather_feedback(params, since_when(str(feedback_since)), root)
    return gathered.corrections, [gathered.line()]


@asking("the hotfix is not registered")
def finish(params: Params, folder: Path, root: Path = Path()) -> Registration:
    """Register what was made in the folder of a hotfix.

    Args:
        params: of the repository.
        folder: of `start`, all of its stages run.
        root: the repository.

    Raises:
        TicketSentimentError: another version has become the champion meanwhile, or as `register`.
    """
    started_from = read_json(folder / "champion/version.json")["version"]
    champion = champion_version(connect(params, root))
    present = str(champion.version) if champion else "none"
    if present != started_from:
        raise TicketSentimentError(
            f"the champion is version {present} now, and this hotfix was made of version {started_from}: "
            "run it again, so that it starts from what serves"
        )
    return register(load_params(folder / "params.yaml"), root, folder)
