"""Keras on another backend: one line before anything is imported."""

from __future__ import annotations

import os
import subprocess
import sys
import types

import pytest

from sslkit.errors import UserError
from sslkit.keras_backend import require_tensorflow


@pytest.fixture
def without_keras(monkeypatch):
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    # So that what the test sets is restored.
    monkeypatch.setenv("KERAS_BACKEND", "")


def test_another_backend_is_refused_before_keras_is_imported(
    without_keras, monkeypatch
):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(UserError) as caught:
        require_tensorflow()
    assert str(caught.value) == (
        "KERAS_BACKEND is 'jax' and sslkit needs 'tensorflow'. Unset it, or set it to "
        "tensorflow, before Keras is imported."
    )


def test_where_nothing_is_said_tensorflow_is_chosen(without_keras):
    require_tensorflow()
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


def test_keras_that_runs_on_another_is_refused(monkeypatch):
    backend = types.SimpleNamespace(backend=lambda: "torch")
    monkeypatch.setitem(sys.modules, "keras", types.SimpleNamespace(backend=backend))
    with pytest.raises(
        UserError, match="Keras uses the backend 'torch' in this process"
    ):
        require_tensorflow()


def test_keras_on_tensorflow_is_fine_whatever_the_variable_says(monkeypatch):
    import keras

    assert keras.backend.backend() == "tensorflow"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    require_tensorflow()


@pytest.mark.parametrize(
    "code",
    ["import sslkit.api", "import sslkit; sslkit.load_encoder('x')"],
)
def test_the_ways_in_say_so(code):
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    last = result.stderr.splitlines()[-1]
    assert last.startswith("sslkit.errors.UserError: KERAS_BACKEND is 'jax' and ")


def test_the_command_sets_it(monkeypatch, capsys):
    from sslkit.cli.main import main

    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert main(["plugins"]) == 0
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
