"""What is tried again. By itself, as what other steps import takes seconds (BentoML, the whole registry)."""

from prefect.client.schemas.objects import TaskRun
from prefect.states import State

from ticket_sentiment.errors import REFUSED, TicketSentimentError, Unavailable, of_files


async def may_pass(_task: object, _run: TaskRun, state: State) -> bool:
    """What was away may be back: a source, a registry. What a person must correct is not tried again.

    Neither is a file that the system refuses: a folder that may not be written, a disk that is full.
    """
    failure = await state.aresult(raise_on_failure=False)
    if isinstance(failure, TicketSentimentError):
        return isinstance(failure, Unavailable)
    return of_files(failure) is None or getattr(failure, "errno", None) not in REFUSED
