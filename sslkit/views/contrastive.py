"""The augmentation of contrastive pretraining."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import tensorflow as tf

from sslkit.api import (
    Augmentation,
    DeviceKind,
    PositiveShare,
    Range,
    Share,
    ViewGroup,
    Views,
    checked,
)
from sslkit.randomness import uniform, view_seed
from sslkit.replica import kind_of_devices
from sslkit.views import color, crop
from sslkit.views.blur import SIGMA, random_blur, taps
from sslkit.views.groups import check_groups, split_views
from sslkit.views.randaugment import NAMES, NUMBERS, RandAugment

Placement = Literal["auto", "host", "device"]
"""Where views are recoloured: `host`, with the reading; `device`, with the training;
`auto`, on the device where that is an accelerator and else on the host."""

Strength = Annotated[float, Range(0, 2.5)]
"""Of the colour jitter, see `sslkit.views.draw_jitter`."""


class ContrastiveViews(Augmentation):
    """The views of contrastive pretraining, as many groups of them as wanted.

    Crop, mirror, colour jitter, RandAugment (where it is given), grayscale, blur: Chen
    et al. 2020, appendix A, with the RandAugment of Huynh et al. 2020
    (arXiv:2011.11765). A plugin's augmentation subclasses this one and spells its own
    constructor.

    The host reads, decodes, crops and resizes, and rounds the crops to 8 bits. The rest
    but the blur is one compiled function of a batch of crops, which `placement` puts on
    the device or, for one image's crops at a time, on the host. Both draw the same
    numbers. The results differ by at most the rounding to 8 bits that the way from the
    host takes; a value that lies half way between two steps before RandAugment may go
    either way, and its operations can widen that.

    What runs on an accelerator treats the whole batch at once: every operation is
    computed for all images and the drawn one is selected, because branches and loops
    over images leave such a device idle. What runs on a CPU computes for each image
    what was drawn for it and no more.
    """

    @checked
    def __init__(
        self,
        *,
        groups: Mapping[str, ViewGroup],
        area: tuple[PositiveShare, PositiveShare],
        flip: bool,
        strength: Strength,
        randaugment: RandAugment | None,
        gray: Share,
        blur: bool,
        kernel: crop.Kernel,
        placement: Placement,
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
            placement: where all but crop and blur happens, see `Placement`.

        Raises:
            UserError: if an argument is out of its range.
        """
        crop.check_area(area)
        self._groups = check_groups(groups)
        self._count = sum(group.count for group in self._groups.values())
        self._size = next(iter(self._groups.values())).size
        self._area = area
        self._flip = flip
        self._kernel = kernel
        self._strength = strength
        self._randaugment = randaugment
        self._gray = gray
        self._blur = blur
        self._placement = placement
        self._device: DeviceKind | None = None

    def on(self, device: DeviceKind) -> ContrastiveViews:
        """Returns the same views for a step that runs on one kind of device.

        Nobody has to say so: an object that was not told looks at the devices of this
        process when it first makes views.
        """
        told = copy.copy(self)
        for name in ("_finish", "_distort"):  # compiled for another kind, perhaps
            vars(told).pop(name, None)
        told._device = device
        return told

    @property
    def placement(self) -> Literal["host", "device"]:
        """Where all but crop and blur happens; `auto` is one of the two by now."""
        if self._placement != "auto":
            return self._placement
        return "host" if self._kind == "CPU" else "device"

    def describe(self) -> str:
        """Returns where views are finished, for the log."""
        chosen = f" (placement 'auto' on a {self._kind})"
        blur = ", blurred on the device" if self._blurs else ""
        return (
            f"{self.placement}{chosen if self._placement == 'auto' else ''}"
            f"{blur if self.placement == 'host' else ''}"
        )

    @property
    def groups(self) -> Mapping[str, ViewGroup]:
        """The groups it makes."""
        return self._groups

    def example(self, image: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Cuts the crops of one image, and finishes them if placed on the host.

        See `Augmentation.example`. What is left to do after it, `batch` does.
        """
        crops = crop.random_crops(
            image,
            seed,
            count=self._count,
            size=self._size,
            area=self._area,
            kernel=self._kernel,
        )
        if self.placement == "host":
            crops = self._distort(crops, seed)
        return split_views(crops, self._groups)

    def batch(
        self, views: Views, *, step_seed: tf.Tensor, example_seeds: tf.Tensor
    ) -> Views:
        """Does the rest on the device; see `Augmentation.batch`.

        Where blurred, one sigma for each view of the global batch; each image of it is
        blurred or not by its own coin.
        """
        stack = views.joined(self._groups)
        layout = tuple((name, count) for name, (count, _) in self._groups.items())
        return Views({layout: self._finish(stack, step_seed, example_seeds)})

    def drawn(self, seed: tf.Tensor) -> list[list[str]]:
        """Returns what is drawn for each view of an example, for people to read.

        Args:
            seed: int32 [2], the example's.

        Returns:
            For each view, the operations in their order, such as `flip`, `hue +0.10`,
            `Rotate`, `gray`, `blur`; without the crop, and without the blur's sigma,
            which is the batch's.
        """
        seeds = view_seed(seed, tf.range(self._count))
        coins, jitter, operations = (part.numpy() for part in self._numbers(seeds))
        blurs = uniform(seed[tf.newaxis], self._count)[0].numpy() < 0.5
        blurs &= self._blurs
        jitters = color.draw_jitter(tf.constant(jitter), strength=self._strength)
        found = []
        for view in range(self._count):
            words = ["flip"] if self._flip and coins[view, 0] < 0.5 else []
            if self._strength and jitters.applied[view]:
                words += jitters.words(view)
            if self._randaugment is not None:
                draw = self._randaugment.draw(tf.constant(operations))
                words += [NAMES[number] for number in draw.operation[view]]
            words += ["gray"] if coins[view, 1] < self._gray else []
            words += ["blur"] if blurs[view] else []
            found.append(words)
        return found

    @functools.cached_property
    def _finish(self) -> Callable[..., tf.Tensor]:
        # Compiled wherever it runs: on a CPU, too, that makes it several times faster.
        return tf.function(self._finished, jit_compile=True)

    def _finished(
        self, stack: tf.Tensor, step_seed: tf.Tensor, example_seeds: tf.Tensor
    ) -> tf.Tensor:
        count, batch, *shape = stack.shape
        at_once = self._kind != "CPU"
        if self.placement == "host":
            images = tf.image.convert_image_dtype(stack, tf.float32)
        else:
            rows = count * batch
            seeds = view_seed(example_seeds, tf.range(count)[:, tf.newaxis])
            images = self._distorted(
                tf.reshape(stack, [rows, *shape]),
                tf.reshape(seeds, [rows, 2]),
                at_once=at_once,
            )
            images = tf.reshape(images, stack.shape)
        if self._blurs:
            low, high = SIGMA
            numbers = uniform(step_seed[tf.newaxis], count)[0]
            images = random_blur(
                images,
                sigma=low + (high - low) * numbers,
                coins=tf.transpose(uniform(example_seeds, count)) < 0.5,
                at_once=at_once,
            )
        return images

    @property
    def _blurs(self) -> bool:
        return self._blur and taps(self._size) > 1

    @property
    def _kind(self) -> DeviceKind:
        """What the step runs on, as the core said, or else as this process looks."""
        if self._device is not None:
            return self._device
        return kind_of_devices([d.name for d in tf.config.list_logical_devices()])

    @functools.cached_property
    def _distort(self) -> Callable[..., tf.Tensor]:
        def distort(crops: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            seeds = view_seed(seed, tf.range(self._count))
            # tf.data runs on a CPU, wherever the step does.
            return crop.to_uint8(self._distorted(crops, seeds, at_once=False))

        return tf.function(distort, jit_compile=True)

    def _distorted(
        self, crops: tf.Tensor, seeds: tf.Tensor, *, at_once: bool
    ) -> tf.Tensor:
        """Mirrors and recolours crops.

        Args:
            crops: uint8 [n, size, size, 3].
            seeds: int32 [n, 2], the views'.
            at_once: whether to treat all of them at once, or one after the other.

        Returns:
            float32 [n, size, size, 3] in [0, 1].
        """
        policy = self._randaugment
        coins, jitter, operations = self._numbers(seeds)
        if self._flip:
            crops = crop.mirror(crops, coins[:, 0] < 0.5)
        views = crops
        if self._strength:
            views = color.apply_jitter(
                views,
                color.draw_jitter(jitter, strength=self._strength),
                dtype=tf.float32 if policy is None else tf.uint8,
                at_once=at_once,
            )
        if policy is not None:
            views = policy(views, policy.draw(operations), at_once=at_once)
        views = tf.image.convert_image_dtype(views, tf.float32)
        gray = (coins[:, 1] < self._gray)[:, tf.newaxis, tf.newaxis, tf.newaxis]
        return tf.where(gray, color.grayscale(views), views)

    def _numbers(self, seeds: tf.Tensor) -> list[tf.Tensor]:
        """Draws for views: two coins, the jitter's numbers, RandAugment's."""
        layers = self._randaugment.layers if self._randaugment is not None else 0
        parts = [2, color.NUMBERS, NUMBERS * layers]
        return tf.split(uniform(seeds, sum(parts)), parts, axis=1)
