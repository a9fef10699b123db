"""One version everywhere: the package, its plugins, the citation, the changelog."""

from __future__ import annotations

import pathlib
import re
import tomllib

import pytest

import sslkit

REPOSITORY = pathlib.Path(__file__).parent.parent
PLUGINS = sorted(REPOSITORY.glob("plugins/*/pyproject.toml"))
MAJOR, MINOR, _ = (int(part) for part in sslkit.__version__.split("."))


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.parent.name)
def test_a_plugin_is_made_for_this_minor_version(path):
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    assert project["version"] == sslkit.__version__
    wanted = f"sslkit>={MAJOR}.{MINOR},<{MAJOR}.{MINOR + 1}"
    assert wanted in project["dependencies"]


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("CITATION.cff", r"^version: (\S+)$"),
        ("CHANGELOG.md", r"^## (\d\S*),"),
    ],
)
def test_the_file_names_this_version_first(file, pattern):
    text = (REPOSITORY / file).read_text(encoding="utf-8")
    assert re.search(pattern, text, re.MULTILINE)[1] == sslkit.__version__


def test_the_image_has_a_tensorflow_that_is_allowed():
    (pinned,) = re.findall(
        r"^tensorflow==(\S+)$",
        (REPOSITORY / ".ci" / "image.txt").read_text(),
        re.MULTILINE,
    )
    docker = (REPOSITORY / "Dockerfile").read_text()
    assert f"FROM tensorflow/tensorflow:{pinned}-gpu\n" in docker
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    wanted = settings["tool"]["sslkit"]["dependencies"]
    (bounds,) = (text for text in wanted if text.startswith("tensorflow>="))
    from packaging.requirements import Requirement

    assert pinned in Requirement(bounds).specifier
