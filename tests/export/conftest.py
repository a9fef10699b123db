"""The workdir of a run of two steps on the built-in digits."""

from __future__ import annotations

import numpy as np
import pytest

from sslkit import config
from sslkit.checkpoints import Checkpoints
from sslkit.cli.main import main
from sslkit.workdir import Workdir

RECIPE = """
train.objective = @objectives.supervised
objectives.supervised.backbone = @backbones.resnet
objectives.supervised.classes = 10
backbones.resnet.depth = 18
train.augmentation = @augmentations.crop_flip()
augmentations.crop_flip.size = 8
train.data = @data()
data.name = 'digits'
train.optimizer = @optimizers.momentum()
train.schedule = @schedules.constant()
schedules.constant.base = 0.01
train.runner = @runners.single()
train.batch_size = 4
train.steps = 2
"""


@pytest.fixture(scope="session")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    recipe = folder / "recipe.gin"
    recipe.write_text(RECIPE)
    loaded = config.load([str(recipe)])
    training = loaded.train()
    workdir = Workdir(str(folder / "W"))
    config.claim(workdir, loaded.resolution.render())
    # All has moved, as in training, but nothing is traced; variances stay positive.
    draw = np.random.default_rng(0)
    table = training.state.table
    for name in sorted(table.keys() - {"step"}):
        variable = table[name]
        noise = draw.uniform(size=variable.shape)
        variable.assign(variable.numpy() * (1 + 0.1 * noise) + 0.01 * noise)
    training.state.step.assign(2)
    Checkpoints(workdir.checkpoints).save(table, step=2)
    workdir.write_result(
        {
            "step": 2,
            "rows": [
                {
                    "protocol": "kNN (k=20, T=0.07)",
                    "representation": "trained encoder",
                    "top1": 0.5,
                    "top5": 0.875,
                    "n_train": 1000,
                    "n_test": 297,
                    "detail": "",
                }
            ],
            "health": {},
            "health_split": "test",
            "notes": [],
        }
    )
    return workdir.path


@pytest.fixture(scope="session")
def exported(workdir, tmp_path_factory):
    """The folder of its encoder as a SavedModel; tests must not write to it."""
    folder = str(tmp_path_factory.mktemp("out") / "encoder")
    assert main(["export", "--workdir", workdir, "--to", folder, "--debug"]) == 0
    return folder
