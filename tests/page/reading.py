"""Reads a page like a browser without scripts, and checks what every page has."""

from __future__ import annotations

import html.parser
import re
from typing import NamedTuple


class Element(NamedTuple):
    name: str
    attributes: dict[str, str]


class Reader(html.parser.HTMLParser):
    """Collects the elements of a page, and its text but for styles and scripts."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[Element] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append(Element(tag, {k: v or "" for k, v in attrs}))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append(Element(tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("style", "script"):
            self.words.append(data)

    def all(self, name: str) -> list[dict[str, str]]:
        return [one.attributes for one in self.elements if one.name == name]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(text: str) -> Reader:
    """Reads a page and holds it to what every page keeps."""
    page = Reader(text)
    for image in page.all("img"):
        assert image["alt"].strip()
        assert int(image["width"]) > 0 and int(image["height"]) > 0
        assert image["src"].startswith("data:image/")
    for picture in page.all("svg"):
        assert picture["aria-label"].strip() and picture["role"] == "img"
        assert int(picture["width"]) > 0 and int(picture["height"]) > 0
    ids = [one.attributes["id"] for one in page.elements if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    for one in page.elements:
        assert one.name not in ("link", "iframe", "object", "embed")
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            value = one.attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/"))
            if value is not None and value.startswith("#"):
                assert value[1:] in ids
        for value in one.attributes.values():
            for inner in re.findall(r"url\(([^)]*)\)", value):
                assert inner.startswith("#") and inner[1:] in ids
    outside = re.findall(r"(?:url\(|@import)[^#d]\S*", text)
    assert outside == []
    assert len(text.encode()) < 5_000_000
    return page
