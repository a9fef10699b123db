"""A report about runs: makes the page, shows it in a notebook, writes it to a file."""

from __future__ import annotations

import dataclasses
import html as escaping
import os
import time
from collections.abc import Callable, Sequence

import tensorflow as tf

from sslkit.errors import UserError
from sslkit.page.content import Content, gather
from sslkit.page.looking import Options
from sslkit.page.rendering import command, html
from sslkit.storage import reaching, replacing

__all__ = ["Page", "report"]

FORMATS = ("html", "md", "png")
"""The endings of the files that a page is written to."""
MOST_BYTES = 5_000_000
"""The largest size of a page."""
_FEWEST = 100
"""If a map could only have fewer images than this, its images are left out."""


@dataclasses.dataclass(frozen=True)
class Page:
    """A report; a notebook shows it if it is the value of a cell."""

    html: str
    """The page, in one file that needs no other files."""
    content: Content
    """The content of the page."""
    folders: tuple[str, ...]
    """The folders, as given."""

    def save(self, path: str | os.PathLike[str]) -> str:
        """Writes the page to a file; after an error no partial file is left.

        Args:
            path: the path of the file; its ending, `.html`, `.md` or `.png`, is the
                format.

        Returns:
            The path.

        Raises:
            UserError: if its ending is another, or it cannot be written.
        """
        target = os.fspath(path)
        if _ending(target) not in FORMATS:
            raise UserError(
                f"{target} does not end in .html, .md or .png. Name a file that does."
            )
        with reaching("the report", target, verb="written"), replacing(target) as aside:
            self._write(aside)
        return target

    def markdown(self) -> str:
        """Returns the numbers and the text as Markdown, without pictures."""
        from sslkit.page.markdown import markdown

        return markdown(self.content, folders=self.folders)

    def _write(self, path: str) -> None:
        if _ending(path) == "png":
            from sslkit.page.png import draw

            data = draw(self.content)
        else:
            text = self.markdown() if _ending(path) == "md" else self.html
            data = text.encode()
        with tf.io.gfile.GFile(path, "wb") as file:
            file.write(data)

    def _repr_html_(self) -> str:
        """Returns the page in a frame, which keeps its style from the notebook."""
        inside = escaping.escape(self.html, quote=True)
        return (
            f'<iframe srcdoc="{inside}" title="Report of runs" width="100%" '
            'height="800" style="border:1px solid #8888;border-radius:8px"></iframe>'
        )


def report(
    folders: Sequence[str],
    how: Options | None = None,
    *,
    detail: int = 4,
    say: Callable[[str], None] = print,
) -> Page:
    """Makes a page about runs.

    Args:
        folders: folders of runs, or folders that hold folders of runs.
        how: what to show of their encoders.
        detail: for how many groups of seeds images are shown, at most; 0 for none.
        say: prints a line for the user.

    Raises:
        UserError: if a folder does not hold a run, `detail` is not a number of groups,
            or the page would be too large even without the images in the map.
    """
    if not isinstance(detail, int) or detail < 0:
        raise UserError(f"detail is {detail!r}; give 0 or more.")
    content = gather(folders, how or Options(), detail=detail, say=say)
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
            f"the page would have {size / 1e6:.1f} MB, but at most "
            f"{MOST_BYTES / 1e6:.0f} are allowed. Name fewer runs, or lower --detail: "
            f"{command(folders)} --detail 1"
        )
    return Page(text, content, tuple(folders))


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lower().removeprefix(".")
