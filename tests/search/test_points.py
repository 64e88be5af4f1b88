import pytest
from tokenizers import Tokenizer, models

from tests.support.tiny_model import tiny_classifier, tiny_tokenizer
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.compact import from_dense
from ticket_sentiment.params import Shape
from ticket_sentiment.search import points
from ticket_sentiment.search.points import _shape, make_scratch
from ticket_sentiment.search.search import plan
from ticket_sentiment.search.tables import prepared_tables


def test_what_cannot_be_cut_is_reported_whole(small_params):
    model, asked = from_dense(tiny_classifier()), Shape(layers=3, heads=4, ffn=64, embedding_bytes=0)
    cut = asked.model_copy(update={"min_token_count": 2})
    assert _shape(model, tiny_tokenizer(), cut) == cut.model_dump()
    assert _shape(model, Tokenizer(models.BPE()), cut) == asked.model_dump()


def test_a_small_model_that_diverges_names_where_its_rate_is(workspace, small_params, monkeypatch):
    monkeypatch.setattr(points, "SCRATCH_LEARNING_RATE", 1e30)
    job = next(job for job in plan(small_params) if job.kind == "trained_from_scratch")
    message = r"from_scratch: the loss is .* lower SCRATCH_LEARNING_RATE in .*points\.py \(now 1e\+30\)$"
    with pytest.raises(TicketSentimentError, match=message):
        make_scratch(job, prepared_tables(), small_params, workspace / "made")
