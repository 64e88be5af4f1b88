"""Which failures may pass by themselves, whosever class they have."""

import urllib.request

import httpx
import pytest
import requests

from ticket_sentiment.errors import is_away


def response(status: int) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    return made


@pytest.mark.parametrize("get", [requests.get, httpx.get, urllib.request.urlopen])
@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://nobody.invalid"])
def test_a_refused_connection_and_an_unknown_host_are_away(get, url):
    with pytest.raises((OSError, httpx.TransportError)) as caught:
        get(url)
    assert is_away(caught.value)
    wrapped = RuntimeError("of a library that wraps what its transport raises")
    wrapped.__cause__ = caught.value
    assert is_away(wrapped)


@pytest.mark.parametrize(("status", "away"), [(503, True), (429, True), (404, False), (403, False)])
def test_a_server_that_cannot_answer_now_is_away(status, away):
    assert is_away(requests.HTTPError(response=response(status))) is away
    botocore = RuntimeError("like botocore's ClientError")
    botocore.response = {"ResponseMetadata": {"HTTPStatusCode": status}}
    assert is_away(botocore) is away


@pytest.mark.parametrize("error", [FileNotFoundError("x"), PermissionError("x"), ValueError("x"), None])
def test_what_a_person_must_correct_is_not(error):
    assert not is_away(error)
