import dataclasses
import json
from pathlib import Path

import pytest

from tests.support.signing import key_of, public_half
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.signing.signature import Subject, require_signature, sign, signature_path, verify

SUBJECT = Subject("a" * 64, "3", "b" * 64, "gpu")
KEY, OTHER = key_of("2026"), key_of("2027")
BOTH = {key.name: public_half(key) for key in (KEY, OTHER)}


def test_what_was_signed_verifies_with_each_key_that_counts() -> None:
    for key in (KEY, OTHER):
        assert verify(sign(SUBJECT, key).text, SUBJECT, BOTH, "tag") == key.name
    assert sign(SUBJECT, KEY) == sign(SUBJECT, KEY)


@pytest.mark.parametrize(
    "change", [{"bundle": "c" * 64}, {"version": "4"}, {"release": "c" * 64}, {"device": "cpu"}]
)
def test_a_signature_is_of_one_bundle_as_one_version_release_and_device(change: dict[str, str]) -> None:
    other = dataclasses.replace(SUBJECT, **change)
    with pytest.raises(TicketSentimentError, match="is not of version") as caught:
        verify(sign(SUBJECT, KEY).text, other, BOTH, "tag")
    assert "\n" not in str(caught.value)


def test_a_key_that_does_not_count_any_more_is_named() -> None:
    with pytest.raises(TicketSentimentError, match=r"key '2026', which is none of the public keys \(2027\)"):
        verify(sign(SUBJECT, KEY).text, SUBJECT, {"2027": BOTH["2027"]}, "tag")


def test_another_key_of_the_same_name_is_refused() -> None:
    with pytest.raises(TicketSentimentError, match="or not with that key"):
        verify(sign(SUBJECT, KEY).text, SUBJECT, {"2026": BOTH["2027"]}, "tag")


@pytest.mark.parametrize("change", [{"signature": "AAAA"}, {"signature": "?"}, {"key": 7}, {"more": 1}])
def test_what_is_no_signature_is_refused(change: dict[str, object]) -> None:
    text = json.dumps(json.loads(sign(SUBJECT, KEY).text) | change)
    with pytest.raises(TicketSentimentError, match=r"^tag"):
        verify(text, SUBJECT, BOTH, "tag")


def test_it_lies_beside_the_bundle_and_must_be_there(tmp_path: Path) -> None:
    bundle = tmp_path / "gpu"
    with pytest.raises(TicketSentimentError, match=r"gpu\.signature\.json is missing .* sign 3"):
        require_signature(bundle, SUBJECT, BOTH)
    signature_path(bundle).write_text(sign(SUBJECT, KEY).text)
    require_signature(bundle, SUBJECT, BOTH)
    assert not bundle.exists()
