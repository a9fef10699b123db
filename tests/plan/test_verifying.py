"""`sslkit recipes verify`: recipes at full size and at a small size.

A frozen encoder on digits by default, beside one that is broken; all of them with
`-m slow`. What the others train is trained elsewhere: FNC and labels on digits in
`tests/cli`.
"""

from __future__ import annotations

import os
import pathlib

import pytest

from sslkit import config
from sslkit.cli.main import main
from sslkit.plan.verifying import full_size, verify

RECIPES = [
    name
    for name in config.recipes([pathlib.Path(__file__).parents[2]])
    if not config.read_stages([name]).recipes
]

# One of ResNet-50.
BUILT = ("gin/simclr_r50_pretrain.gin",)
# Without the data there, photographs are made up.
DATA = pathlib.Path(os.environ.get("SSLKIT_TEST_DATA", "../shared")) / "data"


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_works(recipe):
    found = verify(recipe, data_dir=str(DATA))
    assert found.parameters > 1000
    assert found.protocols[0].startswith("kNN")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", BUILT)
def test_a_recipe_builds_at_full_size(recipe):
    training = full_size(config.load([recipe]))
    assert training.batch_size == 4096
    # A ResNet-50 without its classifier, and the projection head.
    assert training.state.parameters > 23_500_000


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """A folder with a recipe that resolves and one whose objective refuses it."""
    (tmp_path / "gin").mkdir()
    include = "# One.\ninclude 'gin/digits_linear.gin'\n"
    (tmp_path / "gin" / "good.gin").write_text(include)
    (tmp_path / "gin" / "bad.gin").write_text(
        include + "objectives.supervised.classes = 3\n"
    )
    monkeypatch.chdir(tmp_path)


def test_a_broken_recipe_is_named_and_does_not_hide_the_others(broken, capsys):
    assert main(["recipes", "verify", "bad", "good"]) == 1
    printed = capsys.readouterr().out
    assert "gin/bad.gin   FAILED: digits/train has 10 classes" in printed
    assert "1,290 parameters" in printed
    assert "1 of 2 work; not: gin/bad.gin" in printed


def test_a_recipe_of_stages_is_verified_stage_by_stage(capsys):
    assert main(["recipes", "verify", "fnc_r50_full"]) == 0
    assert "resolves; stages gin/fnc_r50_pretrain.gin" in capsys.readouterr().out


def test_an_unknown_recipe_is_refused(capsys):
    assert main(["recipes", "verify", "fnc_r5_full"]) == 2
    assert "no recipe 'fnc_r5_full'" in capsys.readouterr().err
