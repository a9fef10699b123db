"""The objectives that runs of several processes are compared on."""

from __future__ import annotations

import functools

import sslkit.plugins

MAKERS = {
    "fnc": functools.partial(
        sslkit.plugins.load("objectives", "fnc"),
        support=1,
        bank=4,
        topk=3,
        threshold=0.2,
        projection_layers=2,
        projection_dim=8,
    ),
    "simclr": functools.partial(
        sslkit.plugins.load("objectives", "simclr"),
        projection_layers=2,
        projection_dim=8,
    ),
}
