"""What the process that watches over the workers looks at before it starts them.

It imports none of what answers: numpy, ONNX Runtime and the tokenizer would cost a start half a second.
"""

from pathlib import Path

from ticket_sentiment.cache.cache import PredictionCache
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.serving.keys import ApiKeys, share_keys
from ticket_sentiment.serving.metrics import WORKER_BYTES, require_free
from ticket_sentiment.serving.room import require_room
from ticket_sentiment.serving.settings import Settings, remote_address


def require_startable(settings: Settings, shared: Path, workers: int) -> None:
    """Check all that a worker would stumble over at its start, without serving; share the file of API keys.

    Args:
        settings: of the service.
        shared: the folder that its workers will share.
        workers: how many there will be.

    Raises:
        TicketSentimentError: a key, the metrics port, the room in the folder, the event database or the URL
            of Redis or of the other service is not as it should be.
    """
    serve = settings.serve
    share_keys(serve.api_keys, Path.cwd(), shared)
    ApiKeys(serve.api_keys, Path.cwd(), shared)
    require_room(shared, workers * WORKER_BYTES)
    require_free(serve.metrics.host, serve.metrics.port)
    PredictionCache.open(settings.cache)  # does not connect: Redis may be away
    remote_address(serve.remote)  # the other service, too, may be away
    EventStore.open(settings.events).close(0)
