"""Fixtures of several folders."""

from __future__ import annotations

import keras
import pytest


@pytest.fixture
def table():
    """Makes a table of variables that hold one number each."""

    def make(**values):
        return {name: keras.Variable(value) for name, value in values.items()}

    return make
