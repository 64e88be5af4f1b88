"""Our service with a constant in the model's place. Replaced from outside: the product has no hook for it."""

from ticket_sentiment.cache.answer import Answer
from ticket_sentiment.serving.classifier import Classifier

ANSWER = Answer("neutral", (0.2, 0.6, 0.2), "constant")
Classifier.answers = lambda self, texts: [ANSWER for _ in texts]

from ticket_sentiment.serving.service import TicketSentiment  # noqa: E402, F401
