"""A page as a reader meets it: tags that nest, and text."""

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "hr", "line", "circle", "rect", "input", "polygon", "polyline"}


class Page(HTMLParser):
    """Checks that tags nest, and keeps text, tags and attributes."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))

    def steps(self) -> list[str]:
        """Of the way to all customers: done | here | ended | ahead, of each."""
        kinds = ("done", "here", "ended", "ahead")
        return [item["class"] for tag, item in self.tags if tag == "li" and item.get("class") in kinds]
