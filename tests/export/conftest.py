"""A run of two steps on the built-in digits, trained by the real command."""

from __future__ import annotations

import pytest

from sslkit import config
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
    training.run(workdir, say=lambda line: None)
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
