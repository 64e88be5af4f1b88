"""Mark-up goes, and nothing else; personal data in it and across it is masked all the same."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.markup import without_markup
from ticket_sentiment.tickets.privacy import clean, normalise


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("<div><p>It broke.</p><br></div>", "It broke."),
        ('<span style="font-family:Arial;font-size:10pt">It broke.</span>', "It broke."),
        ('<p style="font-family:&quot;Arial&quot;,serif;margin:0">It broke.</p>', "It broke."),
        ('<td valign="top" nowrap>It broke.</td>', "It broke."),
        ("<p>It broke</p><p>again<br/>today.</p>", "It broke again today."),
        ("<style>p {color: red}</style><A HREF='https://a.example/b'>It</A> broke <IMG src=x>", "It broke"),
        ("<!--[if mso]>It broke.<![endif]--> <!doctype html>", "It broke."),
        ("&lt;b&gt;It broke.&lt;/b&gt;", "It broke."),
    ],
)
def test_markup_is_taken_out(text, rest):
    assert clean(text) == rest


@pytest.mark.parametrize(
    "text",
    ["a <b and c> d", "if a<b and c>d", "price < 5 > 3", "I <3 it", "-> <- <-> >:(",
     "<sarcasm> great </sarcasm>", "write to <name>", "<br>", "< b >", "<b it broke"],
)  # fmt: skip
def test_what_is_no_markup_stays(text):
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("My account number: <b>12345678</b>", "My account number: [ACCOUNT]"),
        ("Account number:<br>12345678", "Account number: [ACCOUNT]"),
        ("my card <b>4111</b> <b>1111</b> <b>1111</b> <b>1111</b>", "my card [CARD]"),
        ("<td>Phone</td><td style='color:red'>5551234</td>", "Phone [PHONE]"),
        ('Call <a href="tel:5551234">5551234</a>', "Call [PHONE]"),
        ('<a href="mailto:anna@shop.example">Anna</a> knows', "Anna knows"),
        ('<a href="mailto:anna@shop.example"></a>', '<a href="mailto:[EMAIL]"></a>'),  # no text: stays
        ("<anna@shop.example> wrote", "<[EMAIL]> wrote"),
        ("<b a=anna [at] shop.example>It broke.</b>", "It broke."),  # a tag once it is masked
    ],
)
def test_personal_data_is_masked_with_the_tags_out_of_its_way(text, masked):
    assert clean(text) == masked


PARTS = st.lists(
    st.sampled_from(
        ["<b>", "</b>", "<", ">", "<br/>", "<p a='b'>", "<style>", "</style>", "<!--", "-->", "<td b=",
         "&lt;", " ", ". ", "account ", "phone ", "call me ", "5551234", "12345678", "4111", " 1111 1111 ",
         "1111", "anna", "@", " [at] ", "shop.example", "www.", "https://", "x", "+49 ", "030/", "Hello, ",
         "Regards, Tom"]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@given(PARTS)
@settings(max_examples=2000, deadline=None)
def test_nothing_is_left_to_mask_in_what_the_model_reads(text):
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    read = canonical(cleaned)
    assert clean(read) == read


@pytest.mark.parametrize(
    "text",
    ["<style>" * 3000, "<b a=" + "'x" * 9000, "<b" + " a=a" * 5000, "<b " * 7000 + ">",
     "<" * 9000 + "b" + ">" * 9000, "<b " + "a" * 20_000, "<b <i>>" * 3000, "<b " * 5000 + ">" * 5000,
     "<b a=x [at] y.io>" * 1200],
)  # fmt: skip
def test_hostile_texts_take_no_time(text):
    start = time.process_time()
    once = without_markup(normalise(text))
    assert without_markup(once) == once
    clean(text)
    assert time.process_time() - start < 1
