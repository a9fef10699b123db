"""`sslkit import`: runs start from its folder, and it can be loaded and exported."""

from __future__ import annotations

import shlex

import numpy as np
import pytest

import sslkit
from sslkit.cli.main import main
from sslkit.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, [2, 32, 32, 3], np.uint8)


@pytest.fixture(scope="module")
def checkpoint(golden):
    return str(golden / "resnet" / "r18_cifar" / "model.ckpt-1234")


@pytest.fixture(scope="module")
def imported(checkpoint, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("published") / "my import")
    assert main(["import", checkpoint, "--to", folder]) == 0
    return folder


@pytest.mark.slow
def test_the_printed_command_runs_with_a_recipe_of_another_network(
    checkpoint, tmp_path, capsys
):
    folder = str(tmp_path / "my import")
    assert main(["import", checkpoint, "--to", folder]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    words = shlex.split(line.removeprefix("next: sslkit "))
    words[words.index("RECIPE")] = "gin/digits_linear.gin"
    words[words.index("W")] = str(tmp_path / "W")
    settings = ("train.steps = 1", "train.batch_size = 4")
    words += [word for setting in settings for word in ("--set", setting)]
    assert main([*words, "--mode", "train"]) == 0
    assert f"from {folder}/checkpoints/step_00001234" in capsys.readouterr().out


@pytest.mark.slow
def test_is_loaded_and_exported(checkpoint, imported, tmp_path, capsys):
    encoder = sslkit.load_encoder(imported)
    want = sslkit.load_encoder(checkpoint)(IMAGES).numpy()
    np.testing.assert_array_equal(encoder(IMAGES), want)
    to = str(tmp_path / "out")
    for said in (f"exported to {to}.", f"{to}, in place of an earlier export."):
        assert main(["export", "--workdir", imported, "--to", to]) == 0
        assert said in capsys.readouterr().out
    np.testing.assert_allclose(
        sslkit.load_encoder(to)(IMAGES), want, rtol=1e-4, atol=1e-5
    )
    card = (tmp_path / "out" / "README.md").read_text()
    assert "backbones.resnet.depth = 18" in card


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "train.steps = 1"], "without a recipe. Leave out --set"),
        (["--format", "tf1"], "which are in the tf1 layout already"),
    ],
)
def test_options_that_an_import_does_not_have(imported, tmp_path, words, said, capsys):
    to = ["--to", str(tmp_path / "out")]
    assert main(["export", "--workdir", imported, *to, *words]) == 2
    assert said in capsys.readouterr().err


def test_a_checkpoint_without_an_encoder_is_an_error(imported, tmp_path, checkpoint):
    folder = str(tmp_path / "heads")
    assert main(["import", checkpoint, "--to", folder, "--schema", "head"]) == 0
    with pytest.raises(UserError, match=r"lacks \d+ variables of the encoder, first"):
        sslkit.load_encoder(folder)
