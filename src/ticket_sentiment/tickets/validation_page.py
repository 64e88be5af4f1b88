"""The result of the expectations as one page that opens anywhere.

GX's own page loads its styles and scripts from five content networks, so it is empty without them.
"""

from importlib import resources
from pathlib import Path
from typing import Any

from ticket_sentiment.files import write_text


def render(path: Path, result: dict[str, Any]) -> None:
    """Write the page of what `validate.validate` returns."""
    import jinja2

    source = resources.files("ticket_sentiment.tickets").joinpath("validation.html").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    months = sorted({check["month"] for check in result["checks"]})
    rules = list(
        dict.fromkeys((check["table"], check["expectation"], check["column"]) for check in result["checks"])
    )
    cells = {
        (check["table"], check["expectation"], check["column"], check["month"]): check
        for check in result["checks"]
    }
    page = environment.from_string(source).render(result=result, months=months, rules=rules, cells=cells)
    write_text(path, page + "\n")
