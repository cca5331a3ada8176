"""Pages and pictures as a reader takes them: their elements, texts and marks."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from html.parser import HTMLParser

from markupsafe import Markup

VOID = {"meta", "link", "input", "br"}


class Read(HTMLParser):
    """A page as a browser takes it: its elements, each closed where it was opened, and their texts."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"an attribute twice: {attrs}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        # Cells may end where the next begins; this page ends each.
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.elements if name == tag]


def marks(drawn: Markup, kind: str) -> list[dict[str, str]]:
    """The elements of a picture that have a class; what is drawn is XML."""
    return [one.attrib for one in ET.fromstring(drawn).iter() if kind in one.attrib.get("class", "").split()]


def words(drawn: Markup) -> list[str]:
    """The texts that stand in a picture."""
    return [one.text or "" for one in ET.fromstring(drawn).iter("text")]
