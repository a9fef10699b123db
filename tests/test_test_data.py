"""Where the tests find data, and the message if there is none."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

VARIABLE = "SSLKIT_TEST_DATA"


@pytest.fixture
def checkout(repository, tmp_path):
    """A folder with only the conftest.py."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "conftest.py").write_bytes((repository / "conftest.py").read_bytes())
    return folder


@pytest.fixture
def look(checkout, monkeypatch):
    """Finds a part as tests in that folder would."""
    spec = importlib.util.spec_from_file_location("copy", checkout / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.delenv(VARIABLE, raising=False)
    return module._test_data


def test_a_session_without_its_data_ends_before_it_begins(checkout):
    """And not a session in which all comparisons are skipped."""
    nowhere = checkout / "nowhere"
    ended = subprocess.run(
        [sys.executable, "-m", "pytest"],
        cwd=checkout,
        env=os.environ | {VARIABLE: str(nowhere)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert ended.stderr.strip().endswith(
        f"{VARIABLE} is {str(nowhere)!r}, and {nowhere} is not a folder. Point it at "
        "the test data, or unset it to skip what needs them."
    )


def test_finds_a_part_where_it_is_told(look, tmp_path, monkeypatch):
    (tmp_path / "elsewhere" / "golden").mkdir(parents=True)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "elsewhere"))
    assert look("golden") == tmp_path / "elsewhere" / "golden"


def test_a_part_that_is_not_where_it_is_told_is_a_failure(look, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    said = f"{VARIABLE} is .*, which has no folder 'golden'"
    with pytest.raises(pytest.fail.Exception, match=said):
        look("golden")


def test_finds_a_part_beside_the_checkout(look, tmp_path):
    (tmp_path / "shared" / "golden").mkdir(parents=True)
    assert look("golden") == tmp_path / "shared" / "golden"


def test_skips_without_data(look):
    with pytest.raises(pytest.skip.Exception, match="golden is not there; point"):
        look("golden")
