"""In which language a text is written (py3langid, whose model is an npz and holds no pickle)."""

from functools import cache
from typing import TYPE_CHECKING

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.tickets.privacy import MASK

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

MIN_LANGUAGE_CHARS = (
    40  # English sentences of 40 to 60 characters are recognised in 98 %, shorter ones in 86 %
)


@cache  # half a second to read
def identifier(language: str) -> "LanguageIdentifier":
    """What tells languages; `classify(text)[0]` is an ISO 639-1 code.

    Raises:
        TicketSentimentError: `language`, the one that is expected, is none that it can tell.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    made = LanguageIdentifier.from_model_file(MODEL_FILE)
    if language not in made.labels:
        raise TicketSentimentError(
            f"validate.language: {language!r} is no language that can be recognised: "
            "expected an ISO 639-1 code such as en or de"
        )
    return made


def without_masks(text: str) -> str:
    """A text without the tokens that stand for personal data: they are of no language."""
    return MASK.sub(" ", text)
