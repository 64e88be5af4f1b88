"""From a template to a page that stands alone: no network, no script, no image file."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(
    template: Path,
    values: Mapping[str, Any],
    filters: Mapping[str, Callable[..., str]],
    escape: bool = True,
) -> str:
    """A page, with every value escaped that is not a plot of ours; a value that is not given is an error.

    Args:
        template: its file. It may include `page.css`, the style sheet of all pages.
        values: that it shows.
        filters: of its own.
        escape: false for a text that is no HTML.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(template.name).render(values)


def markdown_text(text: str) -> str:
    """Text that stays text in Markdown: one line, none of its signs in force."""
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", " ".join(text.split()))
