"""Model cards: the lines that make an encoder's input from a file."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tensorflow as tf

from sslkit.export.card import model_card
from sslkit.views import evaluation_view


@pytest.mark.parametrize("size", [12, 32, 40])
@pytest.mark.parametrize("shape", [(61, 80, 3), (48, 47, 3), (20, 20, 3)])
def test_its_lines_make_what_evaluations_see(size, shape, tmp_path):
    card = model_card(
        objective="mine",
        encoder="a small one",
        feature_dim=4,
        size=size,
        step=1,
        steps=1,
        config="",
        result=None,
        load="import nothing",
    )
    _, lines = re.findall(r"^```python\n(.*?)^```", card, re.DOTALL | re.MULTILINE)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = str(tmp_path / "photograph.jpg")
    tf.io.write_file(path, tf.io.encode_jpeg(pixels))
    names = {"path": path}
    exec(compile(lines, "README.md", "exec"), names)
    image = tf.io.decode_jpeg(tf.io.read_file(path))
    wanted = evaluation_view(image, size=size)
    assert names["images"].shape == (1, size, size, 3)
    np.testing.assert_array_equal(np.rint(names["images"][0] * 255), wanted)
    assert ("87.5% of its" in card) == (size > 32)
