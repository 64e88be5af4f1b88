import numpy as np
import pytest
import torch

from tests.support.tiny_model import tiny_texts
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.compress import ask, compress, shrink, store_answers, whole
from ticket_sentiment.model.data import LabelledTexts, read_texts
from ticket_sentiment.model.embedding import ProductEmbedding
from ticket_sentiment.model.train import main as train
from ticket_sentiment.params import Shape

NONE = LabelledTexts([], np.zeros(0, dtype=np.int64))


@pytest.fixture
def tables(workspace, small_params):
    train(small_params)
    return {name: read_texts(name) for name in ("train", "tune", "unlabelled")}


def test_the_teacher_speaks_on_labelled_unlabelled_and_made_texts(workspace, small_params, tables):
    teacher = ask(small_params, workspace / "models/dense", tables)
    made = len(teacher.texts) - 240 - 20
    long = sum(len(text.split()) >= 4 for text in teacher.texts[:260])
    assert made == small_params.prune.varied_copies * long
    assert (teacher.labels[:240] >= 0).all()
    assert (teacher.labels[240:] == -1).all()
    assert teacher.answers.logits.shape == (len(teacher.texts), 3)
    assert teacher.answers.states.shape == (len(teacher.texts), 3, 32)
    row = torch.tensor([teacher.rows[7]])
    with torch.no_grad():
        expected = teacher.model.eval()(row, torch.ones_like(row))
    torch.testing.assert_close(teacher.answers.logits[7], expected[0], atol=0.1, rtol=0.1)


def test_it_is_said_where_most_tickets_are_too_short_to_be_varied(workspace, small_params, tables, capsys):
    def asked(long):
        texts = ["great"] * (100 - long) + ["great parcel thanks again"] * long
        table = LabelledTexts(texts, np.full(100, 2))
        ask(small_params, workspace / "models/dense", {**tables, "train": table, "unlabelled": NONE})
        return capsys.readouterr().out

    assert "only 120 of 300 texts are made" in asked(40)
    assert "prune.effort" in asked(40)
    assert asked(50) == ""


def test_stored_answers_give_the_same_student_and_no_other_texts_are_taken(workspace, small_params, tables):
    dense, stored = workspace / "models/dense", workspace / "answers.safetensors"
    asked = ask(small_params, dense, tables)
    store_answers(asked, stored)
    loaded = ask(small_params, dense, tables, stored)
    shape = small_params.search.shapes[1]
    first, second = (compress(teacher, shape, tables["tune"], small_params) for teacher in (asked, loaded))
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name
    with pytest.raises(TicketSentimentError, match="answers other texts: remove its folder"):
        ask(small_params, dense, {**tables, "unlabelled": tiny_texts(20, 3)}, stored)


def test_shrinking_leaves_the_teacher_as_it_was(workspace, small_params, tables):
    teacher = ask(small_params, workspace / "models/dense", tables)
    before = {name: tensor.clone() for name, tensor in teacher.model.state_dict().items()}
    student, rows = shrink(teacher, Shape(layers=1, heads=2, ffn=16, embedding_bytes=4), small_params)
    assert (student.layers, student.model.config.heads, student.model.config.ffn) == ([2], (2,), (16,))
    assert isinstance(student.model.words, ProductEmbedding)
    assert rows == teacher.rows
    assert whole(teacher, small_params).layers == [0, 1, 2]
    for name, tensor in teacher.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_shape_that_drops_unseen_tokens_reads_the_texts_as_before(workspace, small_params, tables):
    teacher = ask(small_params, workspace / "models/dense", tables)
    shape = Shape(layers=2, heads=2, ffn=16, embedding_bytes=8, min_token_count=1)
    student, rows = shrink(teacher, shape, small_params)
    assert shape.name == "2x2x16-e8-v1"
    assert student.model.words.num_embeddings == student.tokenizer.get_vocab_size()
    assert student.tokenizer.get_vocab_size() < teacher.tokenizer.get_vocab_size()
    text = tables["train"].texts[0]
    assert student.tokenizer.encode(text).tokens == teacher.tokenizer.encode(text).tokens
    assert [len(row) for row in rows] == [len(row) for row in teacher.rows]


def test_embeddings_that_cannot_be_cut_into_so_many_parts_are_refused(workspace, small_params, tables):
    teacher = ask(small_params, workspace / "models/dense", tables)
    with pytest.raises(TicketSentimentError, match="embedding_bytes must divide the hidden size 32"):
        shrink(teacher, Shape(layers=1, heads=2, ffn=16, embedding_bytes=5), small_params)


def test_every_shape_learns_for_about_as_long(workspace, small_params, tables):
    teacher = ask(small_params, workspace / "models/dense", tables)
    settings = small_params.prune.model_copy(update={"patience": 1000})
    params = small_params.model_copy(update={"prune": settings})
    dense = teacher.model.config.multiplications
    batches = -(-len(teacher.texts) // settings.batch_size)
    for shape in (Shape(layers=3, heads=4, ffn=64, embedding_bytes=0), *small_params.search.shapes):
        student = compress(teacher, shape, tables["tune"], params)
        cost = student.model.config.multiplications
        assert student.curve[-1].step * cost == pytest.approx(settings.effort * dense * batches, rel=0.05)
