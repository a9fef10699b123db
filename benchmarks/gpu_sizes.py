"""Sizes of the parts of `gpu.py`: for a GPU, and to see whether they run."""

from __future__ import annotations

from typing import NamedTuple


class Size(NamedTuple):
    """The sizes of all parts."""

    images: int
    fnc_images: int
    pixels: dict[str, int]
    networks: tuple[str, ...]
    seconds: float
    steps: int
    resume_steps: int
    accuracy_steps: int
    overrides: tuple[str, ...]
    """Bindings that make a recipe small enough."""


SIZES = {
    "full": Size(
        images=64,
        fnc_images=16,
        pixels={"resnet18": 32, "resnet50": 224},
        networks=("resnet50", "resnet18"),
        seconds=4.0,
        steps=400,
        resume_steps=200,
        accuracy_steps=800,
        overrides=(),
    ),
    "toy": Size(
        images=2,
        fnc_images=2,
        pixels={"resnet18": 32, "resnet50": 32},
        networks=("resnet18",),
        seconds=0.1,
        steps=12,
        resume_steps=4,
        accuracy_steps=4,
        overrides=("train.batch_size = 16",),
    ),
}
