"""The names of variables in the published TensorFlow 1 code."""

from __future__ import annotations

import re
from collections.abc import Iterable

HEAD = "head_contrastive_instance"
"""The projection head in checkpoints of FNC; SimCLR calls it `head_contrastive`."""
NETWORK = "base_model"
TWIN = "ema_model"

SLOTS = {"momentum": "Momentum", "mean": "Adam", "square": "Adam_1"}
"""The optimizers' slots and their names in TensorFlow 1."""
_OPERATION = {"kernel": "conv2d", "bias": "conv2d"}
_LAYERS = {"dense": "dense", "norm": "batch_normalization"}
_STATE = {"step": "global_step", "bank/rows": "memory/memory"}

_SLOT = re.compile(rf"(.+)/({'|'.join(SLOTS.values())})")
_PROJECTION = re.compile(r"projection/layer_(\d+)/(dense|norm)/(\w+)")


def published_names(names: Iterable[str], *, head: str = HEAD) -> dict[str, str]:
    """Returns the published name of each variable that has one.

    The published network numbers its layers of each kind in the order of construction,
    so the names of an encoder must come in that order; those of a table do.

    Args:
        names: of a run's table, e.g. `encoder/stem/conv/kernel`, `step`.
        head: the scope of the projection head.

    Returns:
        Name -> published name, e.g. `base_model/conv2d/kernel`, in the order of
        `names`.
    """
    names = list(names)
    layers = _Numbering(head)
    weights = {name: layers.name(name) for name in names if not _split(name)}
    found = {}
    for name in names:
        slot = _split(name)
        if slot is None:
            published = weights[name]
        else:
            weight = weights.get(slot[1])
            published = weight and f"{weight}/{slot[0]}"
        if published:
            found[name] = published
    return found


def weight_of(published: str) -> str | None:
    """Returns the published name of the weight that an optimizer slot belongs to."""
    match = _SLOT.fullmatch(published)
    return match and match[1]


def find_head(published: Iterable[str]) -> str:
    """Returns the scope of the projection head in a checkpoint; `HEAD` without one."""
    found = {
        scope
        for name in published
        for scope in name.split("/")[:2]
        if scope.startswith("head_contrastive")
    }
    return HEAD if HEAD in found or not found else min(found)


def _split(name: str) -> tuple[str, str] | None:
    """Splits `optimizer/<slot>/<weight>` into published slot and weight."""
    if not name.startswith("optimizer/"):
        return None
    slot, _, weight = name.removeprefix("optimizer/").partition("/")
    return SLOTS.get(slot, slot), weight


class _Numbering:
    """Numbers the layers of each network in their order."""

    def __init__(self, head: str) -> None:
        self._head = head
        self._numbers: dict[tuple[str, str], dict[str, int]] = {}

    def name(self, name: str, scope: str = "") -> str | None:
        if name in _STATE:
            return _STATE[name]
        first, _, rest = name.partition("/")
        if first == "momentum" and not scope:
            inner = self.name(rest, TWIN)
            return inner and f"{TWIN}/{inner}"
        if first == "encoder":
            return self._layer(rest, scope)
        if first == "classifier":
            return f"head_supervised/linear_layer/dense/{rest}"
        projection = _PROJECTION.fullmatch(name)
        if projection:
            number, layer, leaf = projection.groups()
            return f"{self._head}/nl_{number}/{_LAYERS[layer]}/{leaf}"
        return None

    def _layer(self, path: str, scope: str) -> str:
        layer, _, leaf = path.rpartition("/")
        kind = _OPERATION.get(leaf, "batch_normalization")
        numbers = self._numbers.setdefault((scope, kind), {})
        number = numbers.setdefault(layer, len(numbers))
        suffix = f"_{number}" if number else ""
        return f"{NETWORK}/{kind}{suffix}/{leaf}"
