"""Recognising the network of a published checkpoint by its variables' shapes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sslkit.api import UserError

Shapes = Mapping[str, Sequence[int]]

_BASIC = {8: 18, 16: 34}
_BOTTLENECK = {16: 50, 33: 101, 50: 152, 66: 200}
"""Blocks -> depth."""
_GROUPS = 4
_FILTERS = 64
_SIDES = {"cifar": 32, "imagenet": 224}
"""Stem -> side of the images."""
_LAST_FILTERS = 512
_KERNEL = re.compile(r"base_model/conv2d(?:_(\d+))?/kernel")


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The options of the `ResNet` that has the variables of a checkpoint."""

    depth: int
    width: int
    stem: str
    sk_ratio: float
    se_ratio: float

    @property
    def side(self) -> int:
        """Side of the images on which it was trained, in pixels."""
        return _SIDES[self.stem]

    def options(self) -> dict[str, Any]:
        """Returns the keywords of `ResNet`."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """Returns e.g. `ResNet-50, width 2, imagenet stem, sk_ratio 0.0625`."""
        said = f"ResNet-{self.depth}, width {self.width}, {self.stem} stem"
        for option in ("sk_ratio", "se_ratio"):
            if ratio := getattr(self, option):
                said += f", {option} {ratio:g}"
        return said


def recognise(shapes: Shapes) -> Architecture:
    """Finds the network of a checkpoint.

    Args:
        shapes: published name -> shape; names outside `base_model/` are ignored.

    Returns:
        What to build. The shapes of all its variables are not checked.

    Raises:
        UserError: if these are not the variables of a published ResNet.
    """
    kernels = {}
    for name, shape in shapes.items():
        if match := _KERNEL.fullmatch(name):
            kernels[int(match[1] or 0)] = tuple(shape)
    if len(kernels) < 3 or sorted(kernels) != list(range(len(kernels))):
        raise UserError(
            "it does not hold a published ResNet: its kernels are not "
            "base_model/conv2d/kernel, base_model/conv2d_1/kernel and so on."
        )
    ordered = [kernels[number] for number in range(len(kernels))]
    # Only the stem of networks with selective kernels begins with three 3x3
    # convolutions; other stems have one, which the first shortcut (1x1) follows.
    deep = ordered[0][0] == 3 and ordered[1][0] == 3
    stem, body = (ordered[:3], ordered[3:]) if deep else (ordered[:1], ordered[1:])
    filters = stem[-1][-1]
    width, odd = divmod(filters, _FILTERS)
    bottleneck = body[0][-1] == 4 * filters
    selective = bottleneck and body[2][-1] == 2 * filters
    gated = any(re.fullmatch(r"base_model/conv2d_\d+/bias", name) for name in shapes)
    layers = 2 + bottleneck + 2 * selective + 2 * gated
    blocks, left = divmod(len(body) - _GROUPS, layers)
    depth = (_BOTTLENECK if bottleneck else _BASIC).get(blocks)
    if odd or not width or left or depth is None:
        raise UserError(
            f"it does not hold a published ResNet: no depth has {len(ordered)} "
            f"convolutions and a stem {filters} channels wide."
        )
    last = _LAST_FILTERS * width
    # In its last block, the branch's convolutions come first, then the gates.
    gate = body[-2][-1] if gated else 0
    attention = body[-3 - 2 * gated][-1] if selective else 0
    return Architecture(
        depth=depth,
        width=width,
        stem="imagenet" if deep or ordered[0][0] == 7 else "cifar",
        sk_ratio=attention / last,
        se_ratio=gate / last,
    )
