"""The documents that people read, and the code blocks in them.

A fenced block names its language. A block `sh` is run by `test_documents_run.py`,
unless a comment stands right before it that says why not:

    <!-- not run: needs a GPU -->

A block `python` is run likewise. `text` is what commands print.
"""

from __future__ import annotations

import pathlib
import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

REPOSITORY = pathlib.Path(__file__).parent.parent
PAGES = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    REPOSITORY / "CHANGELOG.md",
    *sorted(REPOSITORY.glob("docs/**/*.md")),
    *sorted(REPOSITORY.glob("plugins/*/README.md")),
]
NOT_RUN = "not run: "

_FENCE = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]*) -->\n)?```(?P<language>\S*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    """Path in the repository."""
    mark: str
    """What the comment right before it says; empty without one."""
    language: str
    text: str

    @property
    def runs(self) -> bool:
        """Whether nothing is said against running it."""
        return not self.mark


def name(path: pathlib.Path) -> str:
    """Returns a page's path in the repository."""
    return path.relative_to(REPOSITORY).as_posix()


def blocks(path: pathlib.Path) -> list[Block]:
    """Returns the fenced blocks of a page, in order."""
    text = path.read_text(encoding="utf-8")
    return [
        Block(name(path), found["mark"] or "", found["language"], found["text"])
        for found in _FENCE.finditer(text)
    ]


def lines(block: Block) -> list[str]:
    """Returns the commands of a shell block, each as one line."""
    return [
        line for line in block.text.replace("\\\n", " ").splitlines() if line.strip()
    ]


def calls(block: Block) -> Iterator[list[str]]:
    """Yields the arguments of each call of sslkit in a shell block."""
    for line in lines(block):
        for call in line.split(" && "):
            if call.startswith("sslkit "):
                yield shlex.split(call, comments=True)[1:]
