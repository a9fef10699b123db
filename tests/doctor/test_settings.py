"""Environment variables and settings that change what runs."""

from __future__ import annotations

import json

import pytest

from sslkit import environment
from sslkit.doctor.settings import check_settings


def said(tmp_path, **variables):
    found = check_settings({"KERAS_HOME": str(tmp_path), **variables})
    return [(finding.level, finding.about, finding.said) for finding in found]


def test_there_are_no_findings_if_nothing_is_set(tmp_path):
    assert said(tmp_path) == []
    assert said(tmp_path, KERAS_BACKEND="tensorflow") == []


@pytest.mark.parametrize(
    ("variables", "about", "words"),
    [
        ({"KERAS_BACKEND": "jax"}, "KERAS_BACKEND", "it is 'jax'"),
        ({"CUDA_VISIBLE_DEVICES": ""}, "CUDA_VISIBLE_DEVICES", "hides every GPU"),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, "CUDA_VISIBLE_DEVICES", "hides every GPU"),
        (
            {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"},
            "protobuf",
            "which is slow",
        ),
    ],
)
def test_variables_that_surprise_are_notes(tmp_path, variables, about, words):
    ((level, found, line),) = said(tmp_path, **variables)
    assert (level, found) == ("note", about)
    assert words in line


@pytest.mark.parametrize(
    ("installed", "words"),
    [
        (None, "tf-keras is not installed"),
        ("2.19", "layers of the two do not work together"),
    ],
)
def test_legacy_keras_is_a_note(tmp_path, monkeypatch, installed, words):
    monkeypatch.setattr(environment, "version", lambda name: installed)
    ((level, _, line),) = said(tmp_path, TF_USE_LEGACY_KERAS="1")
    assert level == "note" and words in line


@pytest.mark.parametrize(
    ("content", "level", "words"),
    [
        ({"backend": "torch"}, "note", "sets the backend 'torch'"),
        ({"floatx": "float16"}, "broken", "sets floatx to 'float16'"),
        ({"image_data_format": "channels_first"}, "broken", "needs channels_last"),
        ([1], "broken", "is damaged"),
    ],
)
def test_the_settings_of_keras_are_checked(tmp_path, content, level, words):
    (tmp_path / "keras.json").write_text(json.dumps(content))
    ((found, about, line),) = said(tmp_path)
    assert (found, about) == (level, "Keras")
    assert words in line
