"""The docstrings of a class, read from its source without importing it."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sslkit.config.signatures import constructor_of
from sslkit.config.sources import find_definition, path_of

_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):$", re.MULTILINE)
_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
_LINK = re.compile(r"https?://[^\s,;)\]>\"'`]+[^\s,;)\]>\"'`.]|doi\.org/\S+[^\s.,;)]")
_AUTHORS = re.compile(
    r"[A-Z]\w+(?:(?:,| and) [A-Z]\w+)*(?: et al\.)?,? \(?(?:19|20)\d\d\b"
)


class About(NamedTuple):
    """What the docstrings of a class say."""

    summary: str
    """The first sentence, in one line; empty if there is no docstring."""
    text: str
    """The text after it, without sections such as `Args:`."""
    papers: tuple[str, ...]
    """The papers it cites: links, or authors and year if there is no link."""
    arguments: Mapping[str, str]
    """Keyword -> its description, in one line."""


def summary(value: str) -> str:
    """Reads the first sentence about a class: `about(value).summary`, but quicker.

    Parsing the module of every plugin would take most of the time of listing them. So
    the class is searched for in the text, and the source is parsed only if that fails.
    """
    module, _, attribute = value.partition(":")
    path = path_of(module)
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text = path.read_text(encoding="utf-8") if path is not None else ""
        pattern = (
            rf'^class {re.escape(attribute)}\b[^:\n]*:\n\s+"""(.+?)(?:\n\s*\n|""")'
        )
        found = re.search(pattern, text, re.DOTALL | re.MULTILINE)
        if found is not None:
            return " ".join(found[1].split())
    return about(value).summary


def about(value: str) -> About:
    """Reads the docstrings of the class behind an entry point's value.

    Args:
        value: `package.module:Class`.

    Returns:
        What the docstrings of the class and of its constructor say; all empty if the
        source was not found.
    """
    module, _, attribute = value.partition(":")
    found = find_definition(module, attribute)
    if found is None or not isinstance(found.node, ast.ClassDef):
        return About("", "", (), {})
    texts = [ast.get_docstring(found.node) or ""]
    constructor = constructor_of(found)
    if constructor is not None:
        holder, function = constructor
        if isinstance(holder.node, ast.ClassDef) and holder.node is not found.node:
            texts.append(ast.get_docstring(holder.node) or "")
        texts.append(ast.get_docstring(function) or "")
    prose = _SECTION.split(texts[0])[0]
    summary, _, text = prose.partition("\n\n")
    arguments = {
        name: meaning for doc in reversed(texts) for name, meaning in _arguments(doc)
    }
    return About(" ".join(summary.split()), text.strip(), _papers(prose), arguments)


def _papers(prose: str) -> tuple[str, ...]:
    links = [f"https://arxiv.org/abs/{number}" for number in _ARXIV.findall(prose)]
    links += _LINK.findall(prose)
    # Without a link, the authors and the year.
    found = links or [" ".join(name.split()) for name in _AUTHORS.findall(prose)]
    return tuple(dict.fromkeys(found))


def _arguments(doc: str) -> Iterator[tuple[str, str]]:
    """Yields (name, description) for each entry in the `Args:` of a docstring."""
    _, there, section = doc.partition("Args:\n")
    if not there:
        return
    name, words = "", [""]
    for line in section.splitlines():
        if line.strip() and not line.startswith(" "):
            break
        entry = re.match(r" {4}\*{0,2}(\w+)(?: \([^)]*\))?: ?(.*)", line)
        if entry is None:
            words.append(line.strip())
            continue
        if name:
            yield name, " ".join(filter(None, words))
        name, words = entry[1], [entry[2].strip()]
    if name:
        yield name, " ".join(filter(None, words))
