"""Contact sheets of views of several sizes."""

from __future__ import annotations

import tensorflow as tf

from sslkit.api import Augmentation, ViewGroup
from sslkit.pictures import contact_sheet
from sslkit.testing.toy import Pictures


class TwoSizes(Augmentation):
    groups = {"large": ViewGroup(1, 8), "small": ViewGroup(2, 4)}  # noqa: RUF012

    def example(self, image, seed):
        return {"large": image[tf.newaxis], "small": tf.stack([image[:4, :4]] * 2)}


def test_shows_views_in_their_own_size(tmp_path):
    sheet = contact_sheet.lines(Pictures(), TwoSizes(), count=3, seed=1)
    assert [[view.shape for view in line.views] for line in sheet] == [
        [(8, 8, 3), (4, 4, 3), (4, 4, 3)]
    ] * 3
    for line in sheet:
        assert abs(line.views[0] - line.image / 255).max() < 1e-6
        assert abs(line.views[2] - line.image[:4, :4] / 255).max() < 1e-6
    assert sheet[0].captions == ["large 1", "small 1", "small 2"]
    path = tmp_path / "views.png"
    contact_sheet.write(sheet, str(path))
    assert path.read_bytes().startswith(b"\x89PNG")
