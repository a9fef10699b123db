"""The examples in docstrings (`>>>`) print what they say."""

from __future__ import annotations

import doctest
import importlib
import pathlib

import pytest

REPOSITORY = pathlib.Path(__file__).parent.parent
FILES = [
    path
    for path in sorted((REPOSITORY / "sslkit").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


def examples(path: pathlib.Path) -> list[doctest.DocTest]:
    name = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
    module = importlib.import_module(name.removesuffix(".__init__"))
    return [found for found in doctest.DocTestFinder().find(module) if found.examples]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_examples_print_what_they_say(path, capsys):
    runner = doctest.DocTestRunner()
    for example in examples(path):
        runner.run(example)
    failed, tried = runner.summarize(verbose=False)
    assert failed == 0, capsys.readouterr().out
    assert tried > 0


def test_many_docstrings_have_examples():
    assert sum(len(examples(path)) for path in FILES) >= 20
