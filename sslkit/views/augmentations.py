"""The augmentation of supervised training."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from sslkit.api import Augmentation, PositiveInt, PositiveShare, ViewGroup, checked
from sslkit.randomness import uniform
from sslkit.views import crop
from sslkit.views.groups import check_groups


class CropFlip(Augmentation):
    """Random crops, half of them mirrored: the views of supervised training."""

    @checked
    def __init__(
        self,
        *,
        size: PositiveInt = 224,
        count: PositiveInt = 1,
        area: tuple[PositiveShare, PositiveShare] = (0.2, 1.0),
        flip: bool = True,
        kernel: crop.Kernel = "legacy",
    ) -> None:
        """Makes the group `instance`.

        Args:
            size: side of the views, in pixels.
            count: views per image.
            area: smallest and largest area of a crop, as a share of the image.
            flip: whether to mirror half of the views left to right.
            kernel: how crops are resized, see `sslkit.views.Kernel`.

        Raises:
            UserError: for an impossible area.
        """
        crop.check_area(area)
        self._groups = check_groups({"instance": ViewGroup(count, size)})
        self._size = size
        self._area = area
        self._flip = flip
        self._kernel = kernel

    @property
    def groups(self) -> Mapping[str, ViewGroup]:
        """One group, `instance`."""
        return self._groups

    def example(self, image: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes the views of one image; see `Augmentation.example`."""
        count = self._groups["instance"].count
        views = crop.random_crops(
            image,
            seed,
            count=count,
            size=self._size,
            area=self._area,
            kernel=self._kernel,
        )
        if self._flip:
            numbers = uniform(seed[tf.newaxis], count)[0]
            views = crop.mirror(views, numbers < 0.5)
        return {"instance": views}
