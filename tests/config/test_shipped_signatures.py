"""Values that the annotations of the package and its plugins do not allow."""

from __future__ import annotations

import pytest

from sslkit.config import read
from sslkit.errors import UserError

FNC = "gin/fnc_digits_pretrain.gin"


@pytest.mark.parametrize(
    "setting",
    [
        "train.optimizer = @optimizers.adam",
        "train.optimizer = @schedules.cosine()",
        "train.optimizer = 5",
        "train.schedule = @schedules.cosine",
        "train.runner = @runners.single",
        "train.data = @data",
        "train.data = 'digits'",
        "train.objective = @objectives.simclr()",
        "train.objective = @backbones.resnet",
        "objectives.fnc.backbone = @backbones.resnet()",
        "objectives.fnc.backbone = @objectives.simclr",
        "train.batch_size = '64'",
        "train.batch_size = -4",
        "train.batch_size = 'abc'",
        "train.steps = 2.0",
        "train.steps = 0",
        "train.epochs = '5'",
        "train.epochs = -5",
        "train.seed = None",
        "train.seed = -1",
        "train.knn_every = -1",
        "train.keep = 0",
        "train.reporters = @reporters.tensorboard()",
        "train.reporters = (@reporters.tensorboard,)",
        "train.reporters = (@runners.single(),)",
        "train.restore = 'encoder/'",
        "size = '16'",
        "size = 0",
        "support = -1",
        "schedules.cosine.base = '0.1'",
        "schedules.cosine.base = -0.1",
        "schedules.cosine.scaling = 'log'",
        "schedules.cosine.warmup_epochs = -1",
        "data.name = 3",
        "data.source = 'digits'",
        "data.cache = 'ram'",
        "data.on_error = 'ignore'",
        "optimizers.adam.beta1 = 1.5",
        "optimizers.adam.epsilon = 0",
        "optimizers.adam.no_decay = ('bias')",
        "optimizers.adam.weight_decay = -1e-4",
        "objectives.fnc.temperature = 0",
        "objectives.fnc.decay_schedule = 'cosin'",
        "objectives.fnc.false_negatives = 'drop'",
        "objectives.fnc.threshold = 1.5",
        "objectives.fnc.topk = 0",
        "objectives.fnc.bank = -1",
        "augmentations.fnc.strength = 9",
        "augmentations.fnc.kernel = 'old'",
        "augmentations.fnc.flip = 1",
        "augmentations.fnc.randaugment_magnitude = 11",
        "backbones.convnet.filters = 32",
        "backbones.convnet.filters = (32, 0)",
        "evaluate.knn_neighbours = 20",
        "evaluate.knn_temperature = 0",
        "evaluate.train_limit = 0",
    ],
)
def test_shipped_signatures_refuse(setting, repository, monkeypatch):
    monkeypatch.chdir(repository)
    key = setting.partition(" ")[0]
    with pytest.raises(UserError) as caught:
        read([FNC], [setting])
    line = str(caught.value)
    used = f"augmentations.fnc.{key}" if "." not in key else key
    assert line.startswith((f"{used} is ", f"objectives.fnc.{key} is "))
    assert f"(--set '{setting}'); it must be " in line
    assert "\n" not in line


def test_reporters_may_be_several_or_none(repository, monkeypatch):
    monkeypatch.chdir(repository)
    several = "train.reporters = (@reporters.tensorboard(), @reporters.wandb())"
    found = read([FNC], [several, "reporters.wandb.project = 'p'"])
    assert {"reporters.tensorboard", "reporters.wandb"} <= set(found.targets())
    read([FNC], ["train.reporters = ()"])
