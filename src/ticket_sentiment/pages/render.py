"""From a template to a page that stands alone: no network, no script, no image file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(template: Path, values: Mapping[str, Any], filters: Mapping[str, Callable[..., str]]) -> str:
    """A page, with every value escaped that is not a plot of ours; a value that is not given is an error.

    Args:
        template: its file. It may include `page.css`, the style sheet of all pages.
        values: that it shows.
        filters: of its own.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(template.name).render(values)
