"""Schemathesis reads a running service's OpenAPI document and sends what fits it, and what does not.

Its command is run, as its fixtures for pytest want an older pytest. Every run sends the same.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx

from tests.support.serving import SERVICE, Server, write_params

EXAMPLES = 60  # of each operation, beside those at the bounds of every type
KEY = "a-key-of-the-test-run"
CONFIG = """
[generation]
allow-extra-parameters = false  # an unknown header is nobody's mistake
[checks]
enabled = false
not_a_server_error = {{ enabled = true, expected-statuses = ["2xx", "4xx", {too_late}] }}
status_code_conformance.enabled = true
content_type_conformance.enabled = true
response_schema_conformance.enabled = true
response_headers_conformance.enabled = true
unsupported_method.enabled = true
allow_header_conformance.enabled = true
"""
STRICT = f"""
ignored_auth.enabled = true
[checks.negative_data_rejection]
enabled = true
expected-statuses = ["400", "401", "403", "404", "405", "408", "413", "415", "422", "503", "504"]
[auth.openapi.apiKey]
api_key = "{KEY}"
[[operations]]  # a bad ticket of a batch has an error of its own, in an answer with 200
include-path = "/v1/classify/batch"
checks.negative_data_rejection.enabled = false
"""
TOO_LATE = '"503", "504"'  # for a caller that gives it a millisecond the service may say so


def explore(url: str, folder: Path, config: str, *options: str) -> None:
    """Every operation of the document at `url`.

    Args:
        url: of the service.
        folder: of the files of this run.
        config: schemathesis.toml.
        *options: further ones.

    Raises:
        AssertionError: with the report, where a check fails or not every operation was tested.
    """
    # From a file, as Schemathesis leaves out the operation that it has the document from.
    document = httpx.get(f"{url}/v1/openapi.json").json()
    (folder / "openapi.json").write_text(json.dumps(document))
    (folder / "schemathesis.toml").write_text(config)
    result = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", url, "--no-color",
            "--phases", "examples,coverage,fuzzing", "--mode", "all",
            "--max-examples", str(EXAMPLES), "--generation-deterministic", "--continue-on-failure",
            "--request-timeout", "10", *options,
        ],
        cwd=folder, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    report = result.stdout + result.stderr
    assert result.returncode == 0, report
    operations = sum(len(methods) for methods in document["paths"].values())
    assert re.search(rf"Tested: {operations}\b", report), report
    (cases,) = re.findall(r"(\d+) generated", report)
    assert int(cases) > 4 * EXAMPLES, report


def test_a_patient_caller_meets_no_server_error_whatever_it_sends(server: Server, tmp_path: Path) -> None:
    explore(server.url, tmp_path, CONFIG.format(too_late=""), "--header=X-Request-Timeout-Ms:30000")


def test_what_does_not_fit_the_document_is_refused_and_so_is_who_has_no_key(
    folder: Path, tmp_path: Path
) -> None:
    write_params(tmp_path, {"api_keys": {"environment": ["A_KEY"], "rate": 1e6, "burst": 1_000_000}})
    environment = {"TICKET_SENTIMENT_BUNDLE": str(folder / "bundle"), "A_KEY": KEY}
    with Server(SERVICE, tmp_path / "serve.log", tmp_path, **environment) as server:
        server.wait_until_ready()
        explore(server.url, tmp_path, CONFIG.format(too_late=TOO_LATE) + STRICT)
