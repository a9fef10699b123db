"""What makes the recipes for CIFAR-10 small enough for a sample and a CPU."""

from __future__ import annotations

SAMPLE = [
    "data.name = 'cifar10_subset'",
    "backbone = @backbones.convnet",
    "train.optimizer = @optimizers.adam()",
    "schedules.cosine.base = 0.002",
    "schedules.cosine.scaling = 'none'",
    "schedules.cosine.warmup_epochs = 0.2",
    "train.batch_size = 128",
]
"""Overrides; the length of the run is not one of them."""

# The recipe's start is after the end of such runs.
FROM_THE_START = "objectives.fnc.detection_start = 0"
"""For runs of FNC."""
