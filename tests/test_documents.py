"""Documents: blocks say whether they run, commands resolve, links lead somewhere."""

from __future__ import annotations

import argparse
import importlib.util
import posixpath
import re

import documents
import pytest
from documents import PAGES, REPOSITORY

from sslkit.cli.main import COMMANDS, main
from sslkit.cli.stages import read_all

LANGUAGES = {"gin", "json", "python", "sh", "text", "toml", "yaml"}
BLOCKS = [block for page in PAGES for block in documents.blocks(page)]
SHELL = [block for block in BLOCKS if block.language == "sh"]
CALLS = {" ".join(call): call for block in SHELL for call in documents.calls(block)}
QUOTE = "from plugins/"
README_MARKS = {"install", "test"}  # .ci/run runs these two.
TO_BE_CHOSEN = {
    *("RECIPE", "mine.gin", "W/backbone.gin"),
    "gin/METHOD_cifar10_pretrain.gin",
    "gin/first_try_digits.gin",
}
"""Recipes that a reader chooses or writes."""

_LINK = re.compile(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)")


@pytest.mark.parametrize("page", PAGES, ids=documents.name)
def test_every_block_names_its_language(page):
    fences = re.findall(r"^ *```", page.read_text(encoding="utf-8"), re.MULTILINE)
    found = documents.blocks(page)
    assert len(fences) == 2 * len(found), f"{page}: fences must not be indented"
    for block in found:
        assert block.language in LANGUAGES, block.text


def test_blocks_that_do_not_run_say_why():
    for block in BLOCKS:
        if block.page == "README.md" and block.mark in README_MARKS:
            continue
        if block.mark and block.language in ("python", "sh"):
            if block.mark.startswith(QUOTE):  # test_write_a_plugin.py compares it.
                continue
            reason = block.mark.removeprefix(documents.NOT_RUN)
            assert reason != block.mark, f"{block.page}: <!-- {block.mark} -->"
            assert len(reason) > len("a GPU"), f"{block.page}: {block.text}"
    assert sum(block.runs for block in SHELL) > 10


def values(call: list[str], option: str) -> list[str]:
    return [call[i + 1] for i, word in enumerate(call[:-1]) if word == option]


@pytest.mark.parametrize("text", CALLS)
def test_command_resolves(text, monkeypatch, capsys):
    call = CALLS[text]
    monkeypatch.chdir(REPOSITORY)
    assert call[0] in COMMANDS
    with pytest.raises(SystemExit) as caught:
        main([*call, "--help"])
    assert caught.value.code == 0
    usage = capsys.readouterr().out
    assert all(word in usage for word in call if word.startswith("--"))
    recipes = values(call, "--gin")
    if recipes and not TO_BE_CHOSEN & set(recipes):
        given = argparse.Namespace(
            gin=recipes,
            set=values(call, "--set"),
            stage=(values(call, "--stage") or [None])[0],
            data_dir=None,
        )
        assert read_all(given, workdir="W")


def test_every_kind_of_run_is_shown():
    shown = {call[0] for call in CALLS.values()}
    assert {"train", "evaluate", "export", "report", "compare", "audit"} <= shown


def slugs(text: str) -> set[str]:
    """Returns the anchors of a page's headings."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    found = set()
    for heading in re.findall(r"^#+ (.*)$", outside, re.MULTILINE):
        plain = re.sub(r"[^\w\s-]", "", heading).strip().lower()
        found.add(re.sub(r"[-\s]+", "-", plain))
    return found


@pytest.mark.parametrize("page", PAGES, ids=documents.name)
def test_links_lead_somewhere(page):
    for path, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page}: {path}"
        if anchor and there.suffix == ".md":
            text = there.read_text(encoding="utf-8")
            assert anchor in slugs(text), f"{page}: {path}#{anchor}"


def test_recipes_that_are_named_are_there():
    for page in PAGES:
        for path in re.findall(
            r"`(gin/[^A-Z\s`]+\.gin)`", page.read_text(encoding="utf-8")
        ):
            assert (REPOSITORY / path).exists(), f"{page}: {path}"


def test_pages_that_the_site_fills_say_how_to_read_them_without_it():
    pages = sorted((REPOSITORY / "docs" / "reference").glob("*.md"))
    assert len(pages) > 5
    for page in pages:
        text = page.read_text(encoding="utf-8")
        modules = re.findall(r"^::: (\S+)$", text, re.MULTILINE)
        assert modules
        for module in modules:
            assert importlib.util.find_spec(module), module
            assert f"`python -m pydoc {module}`" in text, page


@pytest.fixture(scope="module")
def site():
    """The hooks of the site, which need no MkDocs for this."""
    path = REPOSITORY / "docs" / "site.py"
    spec = importlib.util.spec_from_file_location("site_hooks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_site_has_every_page_once(site):
    settings = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    nav = re.findall(r"^ +- [^:]+: (\S+\.md)$", settings, re.MULTILINE)
    assert sorted(nav) == sorted(site.in_site(documents.name(page)) for page in PAGES)


def test_links_lead_to_the_same_within_the_site(site):
    pages = {site.in_site(documents.name(page)): page for page in PAGES}
    for uri, page in pages.items():
        text = page.read_text(encoding="utf-8")
        turned = site.relinked(text, uri)
        links = zip(_LINK.findall(text), _LINK.findall(turned), strict=True)
        for (before, anchor), (after, same) in links:
            assert anchor == same
            if before:
                meant = (page.parent / before).resolve().relative_to(REPOSITORY)
                found = posixpath.normpath(
                    posixpath.join(posixpath.dirname(uri), after)
                )
                assert site.in_repository(found) == meant.as_posix(), (page, before)


def test_the_site_loads_nothing_from_elsewhere():
    settings = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in settings
    assert not re.search(r"https?://|analytics:|mermaid", settings)
