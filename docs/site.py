"""MkDocs hooks: pages of the site whose files lie outside of docs/.

README.md is the first page. CHANGELOG.md, CONTRIBUTING.md, SECURITY.md and the READMEs
of the plugins keep their paths. Links between all of them are written for the
repository, where they work as they are. Here they are turned into links of the site.
"""

from __future__ import annotations

import pathlib
import posixpath
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = pathlib.Path(__file__).resolve().parent.parent
"""The checkout."""

_ALONE = ("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "SECURITY.md")
_LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)\s]*)?(?:\s\"[^\"]*\")?\))")
"""`](path#anchor)`, without a protocol."""


def outside() -> dict[str, str]:
    """Returns the path in the repository -> the path in the site, of pages outside."""
    plugins = sorted(ROOT.glob("plugins/*/README.md"))
    same = [*_ALONE, *(path.relative_to(ROOT).as_posix() for path in plugins)]
    return {"README.md": "index.md", **{path: path for path in same}}


def in_site(path: str) -> str:
    """Returns where a file of the repository is in the site."""
    return outside().get(path, path.removeprefix("docs/"))


def in_repository(uri: str) -> str:
    """Returns which file of the repository a page of the site is made of."""
    back = {page: path for path, page in outside().items()}
    return back.get(uri, f"docs/{uri}")


def relinked(text: str, page: str) -> str:
    """Returns a page's Markdown with its links as the site has them.

    Args:
        text: as it is in the repository.
        page: its path in the site.
    """
    folder = posixpath.dirname(in_repository(page))
    start = posixpath.dirname(page) or "."

    def link(found: re.Match[str]) -> str:
        there = posixpath.normpath(posixpath.join(folder, found[2]))
        return found[1] + posixpath.relpath(in_site(there), start) + found[3]

    return _LINK.sub(link, text)


def on_files(files: Files, *, config: Any) -> Files:
    """Adds the pages from outside of docs/."""
    from mkdocs.structure.files import File

    for path, page in outside().items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Turns the links of each page."""
    return relinked(markdown, page.file.src_uri)
