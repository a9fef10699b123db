"""`sslkit new`: its projects pass the laws of their kinds, and work."""

from __future__ import annotations

import ast
import os
import pathlib
import subprocess
import sys
import tomllib

import pytest
from fake_distribution import install

from sslkit import plugins, scaffold
from sslkit.cli.main import main
from sslkit.config import read
from sslkit.errors import UserError
from sslkit.scaffold import (
    augmentation,
    backbone,
    evaluation,
    objective,
    optimizer,
    project,
    reporter,
    runner,
    schedule,
    source,
)
from sslkit.testing import laws_of, style_laws_of

OPTIONS = {
    augmentation: {"size": 8},
    backbone: {"width": 8},
    evaluation: {"shots": 2},
    objective: {"dim": 6},
    optimizer: {},
    reporter: {},
    runner: {},
    schedule: {"base": 0.1},
    source: {"images": 12},
}
QUICK = {
    "gradient_equals_finite_differences",
    "replicas_do_not_change_the_result",
    "docstrings_explain_every_parameter",
    "docstring_cites_its_source",
}
"""Of the laws of objectives; the others run by the slow test of whole projects."""
TRACED = {"runner-trains_as_single_does", "objective-replicas_do_not_change_the_result"}
"""Slow: each traces steps for two replicas, which tests/test_conformance.py does."""


def laws_of_templates():
    for module, options in OPTIONS.items():
        made = module.NewThing
        for law in [*laws_of(made, **options), *style_laws_of(made, **options)]:
            case = f"{module.__name__.rpartition('.')[2]}-{law.name}"
            slow = module is objective and law.name not in QUICK
            slow |= case in TRACED
            yield pytest.param(
                law,
                id=case,
                marks=pytest.mark.slow if slow else (),
            )


@pytest.mark.parametrize("law", list(laws_of_templates()))
def test_templates_pass_the_laws_of_their_kinds(law):
    law()


def test_every_kind_has_a_template():
    folder = pathlib.Path(scaffold.__file__).parent
    there = {path.stem for path in folder.glob("*.py")} - {"__init__", "project"}
    assert set(project.KINDS) == there
    assert set(project.KINDS.values()) == set(plugins.KINDS)


@pytest.mark.parametrize("kind", project.KINDS)
def test_writes_a_project(kind, tmp_path, capsys):
    folder = tmp_path / "mine"
    assert main(["new", kind, "my_method", "--to", str(folder)]) == 0
    out = capsys.readouterr().out
    assert f"sslkit_my_method/{kind}.py" in out
    assert "pip install -e '.[test]' && pytest" in out
    written = [path for path in folder.rglob("*") if path.is_file()]
    for path in written:
        text = path.read_text()
        assert "NewThing" not in text
        assert "new_thing" not in text
        assert all(len(line) <= 88 for line in text.splitlines())
        if path.suffix == ".py":
            ast.parse(text)
    about = tomllib.loads((folder / "pyproject.toml").read_text())
    group = f"sslkit.{project.KINDS[kind]}"
    assert about["project"]["entry-points"] == {
        group: {"my_method": f"sslkit_my_method.{kind}:MyMethod"}
    }
    code = (folder / "sslkit_my_method" / f"{kind}.py").read_text()
    assert "class MyMethod(" in code


@pytest.mark.parametrize("kind", project.KINDS)
def test_its_recipe_is_read_without_a_note(kind, tmp_path, monkeypatch):
    written = project.write(kind, "my_method", str(tmp_path / "mine"))
    module = f"sslkit_my_method.{kind}:MyMethod"
    install(
        tmp_path / "site",
        "sslkit-my-method",
        entry_points={f"sslkit.{project.KINDS[kind]}": {"my_method": module}},
        modules={},
    )
    for folder in (tmp_path / "site", written.folder):
        monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(written.folder)
    found = read([os.path.relpath(written.recipe, written.folder)])
    assert f"{project.KINDS[kind]}.my_method" in found.targets()
    assert not found.notes


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["objectiv", "mine"], "no kind 'objectiv'. Did you mean 'objective'"),
        (["objective", "My-Method"], "'My-Method' cannot be a plugin's name"),
        (["objective", "mine_"], "'mine_' cannot be a plugin's name"),
        (["objective", "class"], "'class' is a keyword of Python"),
        (["objective", "none"], "'None' is a keyword of Python"),
        (["objective", "outcome"], "would be called Outcome, as one that its module"),
        (["schedule", "schedule"], "would be called Schedule, as one that its module"),
        (["objective", "fnc"], r"objectives\.fnc is installed already"),
        (["schedule", "byol"], "a package sslkit_byol can be imported already"),
        (["schedule", "x" * 61], "at most 60 characters"),
    ],
)
def test_wrong_kinds_and_names_are_refused(words, said, tmp_path):
    with pytest.raises(UserError, match=said):
        project.write(*words, to=str(tmp_path / "mine"))
    assert not os.listdir(tmp_path)


def test_a_name_whose_distribution_is_installed_is_refused(tmp_path, monkeypatch):
    """pip would put the new one in the place of the old one."""
    install(
        tmp_path / "site",
        "sslkit-paired",
        entry_points={"sslkit.objectives": {"paired": "acme_paired:Paired"}},
        modules={},
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    said = r"sslkit-paired is installed already, with objectives\.paired, and a second"
    with pytest.raises(UserError, match=said):
        project.write("augmentation", "paired", to=str(tmp_path / "mine"))
    assert not (tmp_path / "mine").exists()


def test_an_existing_folder_is_not_changed(tmp_path):
    with pytest.raises(UserError, match=r"exists already\. Choose another folder"):
        project.write("objective", "mine", to=str(tmp_path))
    assert not os.listdir(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", project.KINDS)
def test_a_project_works_as_written(kind, tmp_path):
    """Installed, it passes its own tests, is listed, and trains by its recipe."""
    written = project.write(kind, "my_method", str(tmp_path / "mine"))
    site = tmp_path / "site"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "-q", "--no-deps"),
            *("--no-build-isolation", "--target", str(site), written.folder),
        ],
        check=True,
    )
    env = {**os.environ, "PYTHONPATH": str(site)}

    def run(*words, cwd=tmp_path):
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    listed = run("sslkit", "plugins").splitlines()
    title = f"{project.KINDS[kind]}.my_method"
    (row,) = (line for line in listed if " my_method " in line)
    assert row.split()[:5] == [
        *(project.KINDS[kind], "my_method", "sslkit-my-method", "0.1.0", "installed")
    ]
    shown = run("sslkit", "plugins", "show", title)
    assert f"sslkit_my_method.{kind}:MyMethod" in shown
    assert os.path.basename(written.recipe) in run(
        *("sslkit", "plugins", "show", title), cwd=written.folder
    )
    assert "passed" in run("pytest", "-q", "-p", "no:cacheprovider", cwd=written.folder)
    settings = ["train.steps = 2", "train.batch_size = 8", "train.knn_every = 0"]
    words = [word for text in settings for word in ("--set", text)]
    recipe = os.path.relpath(written.recipe, written.folder)
    out = run(
        *("sslkit", "train", "--gin", recipe, "--workdir", str(tmp_path / "W")),
        *("--mode", "train", *words),
        cwd=written.folder,
    )
    assert "step 2/2" in out
