"""The augmentation of contrastive pretraining."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from sslkit.api import Augmentation, ViewGroup, Views
from sslkit.errors import UserError
from sslkit.views import color, crop, draws
from sslkit.views.blur import SIGMA, random_blur
from sslkit.views.groups import check_groups, make_views
from sslkit.views.randaugment import RandAugment


class ContrastiveViews(Augmentation):
    """The views of contrastive pretraining, as many groups of them as wanted.

    Crop, mirror, colour jitter, RandAugment (where it is given), grayscale, blur: Chen
    et al. 2020, appendix A, with the RandAugment of Huynh et al. 2020
    (arXiv:2011.11765). All but the blur runs on the host. A plugin's augmentation
    subclasses this one and spells its own constructor.
    """

    def __init__(
        self,
        *,
        groups: Mapping[str, ViewGroup],
        area: tuple[float, float],
        flip: bool,
        strength: float,
        randaugment: RandAugment | None,
        gray: float,
        blur: bool,
        kernel: crop.Kernel,
    ) -> None:
        """Fixes what views are made and how.

        Args:
            groups: what to make; all of one size.
            area: smallest and largest share of the image that a crop takes.
            flip: whether to mirror half of the views left to right.
            strength: of the colour jitter, see `sslkit.views.draw_jitter`; 0 for none.
            randaugment: applied between jitter and grayscale, or None.
            gray: probability of grayscale.
            blur: whether to blur half of the views, on the device.
            kernel: how crops are resized, see `sslkit.views.Kernel`.

        Raises:
            UserError: if an argument is out of its range.
        """
        crop.check_area(area)
        crop.check_kernel(kernel)
        if strength < 0 or strength > 2.5:
            raise UserError(
                f"the colour jitter's strength is {strength:g}; give 0 to 2.5"
            )
        if not 0 <= gray <= 1:
            raise UserError(f"the probability of grayscale is {gray:g}; give 0 to 1")
        self._groups = check_groups(groups)
        self._size = next(iter(self._groups.values())).size
        self._area = area
        self._flip = flip
        self._kernel = kernel
        self._strength = strength
        self._randaugment = randaugment
        self._gray = gray
        self._blur = blur

    @property
    def groups(self) -> Mapping[str, ViewGroup]:
        """The groups it makes."""
        return self._groups

    def example(self, image: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes the views of one image, less the blur; see `Augmentation.example`."""
        return make_views(self._view, image, seed, groups=self._groups)

    def batch(
        self, views: Views, *, step_seed: tf.Tensor, example_seeds: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Blurs on the device; see `Augmentation.batch`.

        One sigma for each view of the global batch; each image of it is blurred or not
        by its own coin.
        """
        images = super().batch(views, step_seed=step_seed, example_seeds=example_seeds)
        if not self._blur:
            return images
        count = sum(group.count for group in self._groups.values())
        low, high = SIGMA
        sigmas = low + (high - low) * draws.uniform(step_seed[tf.newaxis], count)[0]
        coins = draws.uniform(example_seeds, count) < 0.5
        blurred, first = {}, 0
        for name, group in self._groups.items():
            numbers = slice(first, first + group.count)
            blurred[name] = random_blur(
                images[name], sigma=sigmas[numbers], coins=coins[:, numbers]
            )
            first += group.count
        return blurred

    def _view(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        crop_seed, flip_seed, jitter_seed, policy_seed, gray_seed = draws.split(seed, 5)
        view = crop.random_resized_crop(
            image, crop_seed, size=self._size, area=self._area, kernel=self._kernel
        )
        if self._flip:
            view = crop.random_flip(view, flip_seed)
        view = color.random_jitter(view, jitter_seed, strength=self._strength)
        view = tf.clip_by_value(view, 0.0, 1.0)
        if self._randaugment is not None:
            pixels = tf.image.convert_image_dtype(view, tf.uint8, saturate=True)
            pixels = self._randaugment(pixels, policy_seed)
            view = tf.image.convert_image_dtype(pixels, tf.float32)
        gray = draws.uniform_vector(gray_seed, 1)[0] < self._gray
        view = tf.cond(gray, lambda: color.grayscale(view), lambda: view)
        return crop.to_uint8(view)
