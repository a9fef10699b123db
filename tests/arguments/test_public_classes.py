"""Public classes refuse in Python what they refuse in recipes."""

from __future__ import annotations

import pytest

from sslkit import nn, views
from sslkit.data import data
from sslkit.errors import UserError
from sslkit.nn.applications import KerasApplication
from sslkit.objectives.supervised import Supervised
from sslkit.optimize.adam import Adam
from sslkit.optimize.lars import LARS
from sslkit.optimize.momentum import Momentum
from sslkit.optimize.schedules import Constant, WarmupCosine
from sslkit.runners.mirrored import Mirrored
from sslkit.runners.multiworker import MultiWorker
from sslkit.runners.single import Single
from sslkit.runners.tpu import TPU
from sslkit_fnc.objective import FNC
from sslkit_fnc.views import FNCViews
from sslkit_simclr.objective import SimCLR
from sslkit_simclr.views import SimCLRViews


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (Adam, {"beta1": 1.5}),
        (Adam, {"beta2": 1}),
        (Adam, {"epsilon": 0}),
        (Adam, {"weight_decay": -1e-4}),
        (Adam, {"decoupled": "yes"}),
        (Adam, {"no_decay": ("bias")}),
        (LARS, {"momentum": -0.1}),
        (LARS, {"no_decay": "bias"}),
        (LARS, {"no_adaptation": "bias"}),
        (LARS, {"trust": 0}),
        (Momentum, {"momentum": 1.0}),
        (Momentum, {"no_decay": "bias"}),
        (WarmupCosine, {"base": -1}),
        (WarmupCosine, {"base": "0.1"}),
        (WarmupCosine, {"base": 0.1, "warmup_epochs": -1}),
        (WarmupCosine, {"base": 0.1, "scaling": "log"}),
        (Constant, {"base": float("nan")}),
        (Constant, {"base": 0.1, "scaling": None}),
        (Mirrored, {"replicas": 0}),
        (MultiWorker, {"workers": "host:1"}),
        (MultiWorker, {"communication": "mpi"}),
        (Single, {"device": 0}),
        (TPU, {"connect_seconds": 0}),
        (nn.BatchNorm, {"name": "norm", "momentum": 1.5}),
        (nn.BatchNorm, {"name": "norm", "epsilon": 0}),
        (nn.ConvNet, {"filters": 32}),
        (nn.ConvNet, {"filters": (32, 0)}),
        (nn.DropBlock, {"name": "drop", "keep_prob": 0}),
        (nn.LinearClassifier, {"classes": 0}),
        (nn.MemoryBank, {"name": "bank", "views": 2, "batches": 2.0}),
        (nn.ProjectionHead, {"layers": 0}),
        (nn.ProjectionHead, {"mode": "mlp"}),
        (nn.ResNet, {"depth": 51}),
        (nn.ResNet, {"stem": "mnist"}),
        (nn.ResNet, {"sk_ratio": 2}),
        (KerasApplication, {"network": "LeNet"}),
        (views.CropFlip, {"area": 0.5}),
        (views.CropFlip, {"count": 0}),
        (views.CropFlip, {"kernel": "cubic"}),
        (SimCLRViews, {"strength": -1}),
        (SimCLRViews, {"gray": 1.5}),
        (FNCViews, {"randaugment_magnitude": 11}),
        (FNCViews, {"translate": -1}),
        (FNCViews, {"placement": "tpu"}),
        (Supervised, {"backbone": nn.ConvNet, "classes": 10, "projection_dim": 0}),
        (Supervised, {"classes": 10, "backbone": 5}),
        (SimCLR, {"backbone": nn.ConvNet, "temperature": 0}),
        (SimCLR, {"backbone": nn.ConvNet, "views": 1}),
        (FNC, {"backbone": nn.ConvNet, "detection": "best"}),
        (FNC, {"backbone": nn.ConvNet, "threshold": 2}),
        (FNC, {"backbone": nn.ConvNet, "bank": 4.0}),
        (data, {"name": 3}),
        (data, {"name": "digits", "cache": "ram"}),
    ],
)
def test_refuses_the_last_of_them(make, given):
    *_, (parameter, value) = given.items()
    with pytest.raises(UserError) as caught:
        make(**given)
    line = str(caught.value)
    assert line.startswith(f"{make.__name__}.{parameter} is {value!r}; it must be ")
    assert "\n" not in line
