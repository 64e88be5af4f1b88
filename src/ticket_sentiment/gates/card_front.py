"""A model card as a program reads it: the YAML front matter, and its parts by title.

Apart from what makes a card, so that the registry, and with it a rollback, waits for none of what judging
needs.
"""

from pathlib import Path
from typing import Any

import yaml

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.gates.licence import FENCE

MARKDOWN = Path("reports/card.md")


def read_front(path: Path) -> dict[str, Any]:
    """What a card says for programs.

    Raises:
        TicketSentimentError: the file is missing or no card.
    """
    remedy = "run `dvc repro -f -s report`"
    try:
        fence, front, _ = path.read_text(encoding="utf-8").split(FENCE, 2)
        content = None if fence else yaml.safe_load(front)
    except FileNotFoundError:
        raise TicketSentimentError(f"{path} is missing: {remedy}") from None
    except (ValueError, yaml.YAMLError):
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("bundles"), dict):
        raise TicketSentimentError(f"{path} is no model card: {remedy}")
    return content


def read_part(path: Path, title: str) -> str:
    """The Markdown of one part of a card, without its title; empty where the card has no such part."""
    for part in path.read_text(encoding="utf-8").split("\n## ")[1:]:
        name, _, text = part.partition("\n")
        if name == title:
            return text.strip()
    return ""
