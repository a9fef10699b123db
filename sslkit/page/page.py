"""A report of runs: gathered, rendered, shown in a notebook, written to a file."""

from __future__ import annotations

import dataclasses
import html as escaping
import os
import time
from collections.abc import Callable, Sequence

import tensorflow as tf

from sslkit.errors import UserError
from sslkit.page.content import Content, gather
from sslkit.page.looking import Looking
from sslkit.page.rendering import command, html
from sslkit.storage import reaching, replacing

__all__ = ["Page", "report"]

MOST_BYTES = 5_000_000
"""What a page may take."""
_FEWEST = 100
"""Images of a map; below that it goes without."""


@dataclasses.dataclass(frozen=True)
class Page:
    """A report; a notebook shows it where it is the value of a cell."""

    html: str
    """The page: one file that needs no other."""
    content: Content
    """What it says."""
    folders: tuple[str, ...]
    """As they were named."""

    def save(self, path: str | os.PathLike[str]) -> str:
        """Writes the page to a file, whole or not at all.

        Args:
            path: of the file; `.html`, `.md` or `.png`, which says what is written.

        Returns:
            The path.

        Raises:
            UserError: if it cannot be written.
        """
        target = os.fspath(path)
        with reaching("the report", target, verb="written"), replacing(target) as aside:
            self._write(aside)
        return target

    def markdown(self) -> str:
        """Returns the numbers and the words as Markdown, without pictures."""
        from sslkit.page.markdown import markdown

        return markdown(self.content, folders=self.folders)

    def _write(self, path: str) -> None:
        if path.endswith(".png"):
            from sslkit.page.poster import draw

            data = draw(self.content)
        else:
            text = self.markdown() if path.endswith(".md") else self.html
            data = text.encode()
        with tf.io.gfile.GFile(path, "wb") as file:
            file.write(data)

    def _repr_html_(self) -> str:
        """Returns the page in a frame, so that its style stays its own."""
        inside = escaping.escape(self.html, quote=True)
        return (
            f'<iframe srcdoc="{inside}" title="Report of runs" width="100%" '
            'height="800" style="border:1px solid #8888;border-radius:8px"></iframe>'
        )


def report(
    folders: Sequence[str],
    how: Looking | None = None,
    *,
    detail: int = 4,
    say: Callable[[str], None] = print,
) -> Page:
    """Makes a page of runs.

    Args:
        folders: of runs, or with runs right in them.
        how: how closely to look at their encoders.
        detail: groups of seeds whose images are shown, at most; 0 for none.
        say: prints a line for the user.

    Raises:
        UserError: if a folder has no run, or the page would be too large with no
            images of a map.
    """
    content = gather(folders, how or Looking(), detail=detail, say=say)
    written = time.strftime("%Y-%m-%d %H:%M")

    def render(faces: bool) -> str:
        return html(content, folders=folders, written=written, faces=faces)

    text = render(True)
    while len(text.encode()) > MOST_BYTES:
        shown = max((seen.look.shown for seen in content.seen), default=0)
        if shown // 2 < _FEWEST:
            text = render(False)
            break
        content = content.thinned(shown // 2)
        text = render(True)
    size = len(text.encode())
    if size > MOST_BYTES:
        raise UserError(
            f"the page would take {size / 1e6:.1f} MB, and it may take "
            f"{MOST_BYTES / 1e6:.0f}. Name fewer runs, or lower --detail: "
            f"{command(folders)} --detail 1"
        )
    return Page(text, content, tuple(folders))
