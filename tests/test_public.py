"""All public names are in docs/api.md."""

from __future__ import annotations

import difflib
import importlib.util

import pytest


@pytest.fixture(scope="module")
def script(repository):
    path = repository / "docs" / "api.py"
    spec = importlib.util.spec_from_file_location("public_listing", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_list_is_that_of_the_code(script):
    there = script.FILE.read_text(encoding="utf-8")
    now = script.with_listing(there)
    changes = [
        line
        for line in difflib.unified_diff(
            there.splitlines(), now.splitlines(), lineterm="", n=0
        )
        if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]
    shown = "\n".join(changes[:20])
    assert not changes, (
        "what is public has changed. If that is meant, run `python docs/api.py` and "
        f"tell CHANGELOG.md; a name that goes is warned of first:\n{shown}"
    )


def test_a_change_shows(script, monkeypatch):
    import sslkit.replica

    before = script.listing()
    monkeypatch.setattr(sslkit.replica, "gather", lambda tensor, axis=0: tensor)
    monkeypatch.setattr(sslkit.replica.gather, "__module__", "sslkit.replica")
    assert "gather(tensor, axis=0)" in script.listing()
    assert "gather(tensor, axis=0)" not in before


def test_all_that_plugins_may_import_is_listed(script, repository):
    from test_packaging import PUBLIC

    assert set(PUBLIC) <= set(script.MODULES)
