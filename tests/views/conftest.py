"""The golden images and their descriptions."""

from __future__ import annotations

import json

import numpy as np
import pytest


class Golden:
    """One description and its arrays."""

    def __init__(self, folder, name: str) -> None:
        self.about = json.loads((folder / f"{name}.json").read_text())
        self.arrays = np.load(folder / f"{name}.npz")
        self.images = np.load(folder / "images.npz")

    def cases(self, function: str) -> list[dict]:
        """Returns the cases whose `fn` starts with a word."""
        found = [c for c in self.about["cases"] if c["fn"].startswith(function)]
        assert found, f"no golden case of {function}"
        return found


@pytest.fixture(scope="session")
def float_ops(golden):
    return Golden(golden / "augment", "float_ops")


@pytest.fixture(scope="session")
def uint8_ops(golden):
    return Golden(golden / "augment", "ops")


@pytest.fixture(scope="session")
def random_draws(golden):
    return Golden(golden / "augment", "random_draws")
