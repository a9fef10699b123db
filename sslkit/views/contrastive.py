"""The augmentation of contrastive pretraining."""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
import tensorflow as tf

from sslkit.api import (
    Augmentation,
    DeviceKind,
    PositiveShare,
    Range,
    Share,
    UserError,
    ViewGroup,
    Views,
    checked,
)
from sslkit.randomness import uniform, view_seed
from sslkit.replica import kind_of_devices
from sslkit.views import color, crop
from sslkit.views.blur import SIGMA, random_blur, taps
from sslkit.views.groups import (
    check_groups,
    split_views,
    stack_numbers,
    view_numbers,
)
from sslkit.views.randaugment import NAMES, NUMBERS, RandAugment

Placement = Literal["auto", "host", "device"]
"""Where colours are changed: on the `host`, with the reading; on the `device`, with the
training; with `auto`, on the device if that is an accelerator, else on the host."""

Strength = Annotated[float, Range(0, 2.5)]
"""Of the colour jitter, see `sslkit.views.draw_jitter`."""

Area = tuple[PositiveShare, PositiveShare]
"""Smallest and largest area of a crop, as a share of the image."""

Reach = Annotated[float, Range(0)]

Odds = Sequence[Share]
"""Probabilities, one per view, by the number of the view."""


class ContrastiveViews(Augmentation):
    """The views of contrastive pretraining, in any number of groups.

    They are made by crop, mirror, colour jitter, RandAugment (optional), grayscale and
    blur: Chen et al. 2020, appendix A, with the RandAugment of Huynh et al. 2020
    (arXiv:2011.11765). The augmentation of a plugin is a subclass of it, with a
    constructor of its own.

    The host reads, decodes, crops and resizes, and rounds the crops to 8 bits. All
    other steps except the blur are one compiled function of a batch of crops. By
    `placement` it runs on the device or, for one image's crops at a time, on the host.
    Both draw the same random numbers. On the host, the results are rounded to 8 bits
    once more, so they may differ by that much; before RandAugment, a value half way
    between two steps may be rounded either way, and its operations can enlarge the
    difference.

    On an accelerator, the whole batch is processed at once: every operation is computed
    for all images and the drawn one is selected, because branches and loops over images
    would leave the device idle. On a CPU, only the drawn operations are computed for
    each image.
    """

    @checked
    def __init__(
        self,
        *,
        groups: Mapping[str, ViewGroup],
        area: Area | Mapping[str, Area],
        flip: bool,
        strength: Strength | tuple[Reach, Reach, Reach, Reach],
        randaugment: RandAugment | None,
        gray: Share,
        blur: bool | Odds,
        kernel: crop.Kernel,
        placement: Placement,
        solarize: Odds = (),
        covered: Share = crop.LEAST_COVERED,
    ) -> None:
        """Sets which views are made, and how.

        Args:
            groups: the groups of views. Views are numbered from 0 in the order of the
                groups, and their random numbers depend on their number.
            area: smallest and largest area of a crop, as a share of the image; for all
                views, or for the views of each group.
            flip: whether to mirror half of the views left to right.
            strength: of the colour jitter, see `sslkit.views.draw_jitter`: one number,
                0 for none; or four, for brightness, contrast, saturation and hue.
            randaugment: applied between jitter and grayscale; None for none.
            gray: probability of grayscale.
            blur: whether to blur half of the views, on the device; or the probability
                of blur for each view.
            kernel: how crops are resized, see `sslkit.views.Kernel`.
            placement: where all steps except crop, blur and solarisation happen, see
                `Placement`.
            solarize: the probability for each view of solarisation after the blur,
                which inverts values from 0.5 on; empty for none.
            covered: the least share of the image that a crop covers, in addition to
                `area`, as in SimCLR's code; 0 for no such limit.

        Raises:
            UserError: if an argument is out of its range.
        """
        self._groups = check_groups(groups)
        self._areas = {
            name: area[name] if isinstance(area, Mapping) else area
            for name in self._groups
        }
        for own in self._areas.values():
            crop.check_area(own, covered)
        self._count = sum(group.count for group in self._groups.values())
        self._sizes = [
            group.size for group in self._groups.values() for _ in range(group.count)
        ]
        self._covered = covered
        self._flip = flip
        self._kernel = kernel
        still = isinstance(strength, tuple) and not any(strength)
        self._strength = 0.0 if still else strength
        self._randaugment = randaugment
        self._gray = gray
        if isinstance(blur, bool):
            blur = [0.5 * blur] * self._count
        self._blur = self._each("blur", blur)
        self._solarize = self._each("solarize", solarize or [0.0] * self._count)
        self._placement = placement
        self._device: DeviceKind | None = None

    def on(self, device: DeviceKind) -> ContrastiveViews:
        """Returns the same views for a step that runs on one kind of device.

        Calling it is optional: otherwise the object looks at the devices of this
        process when it first makes views.
        """
        told = copy.copy(self)
        for name in ("_finish", "_distort"):  # compiled for another kind, perhaps
            vars(told).pop(name, None)
        told._device = device
        return told

    @property
    def placement(self) -> Literal["host", "device"]:
        """Where all steps except crop and blur happen, with `auto` resolved."""
        if self._placement != "auto":
            return self._placement
        return "host" if self._kind == "CPU" else "device"

    def describe(self) -> str:
        """Returns where views are finished, for the log."""
        chosen = f" (placement 'auto' on a {self._kind})"
        numbers = range(self._count)
        blur = ", blurred on the device" if any(self._blurred(numbers)) else ""
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

        See `Augmentation.example`. `batch` does the remaining steps.
        """
        crops = self._crops(image, seed)
        if self.placement == "device":
            return crops
        found: dict[str, tf.Tensor] = {}
        for layout, numbers in stack_numbers(self._groups).items():
            parts = [crops[name] for name, _ in layout]
            stack = parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)
            groups = {name: self._groups[name] for name, _ in layout}
            found |= split_views(self._distort(stack, seed, numbers), groups)
        return {name: found[name] for name in self._groups}

    def _crops(self, image: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Cuts the crops of all groups; crops with the same options share a loop."""
        found: dict[str, tf.Tensor] = {}
        numbers = view_numbers(self._groups)

        def alike(name: str) -> tuple[int, tuple[float, float]]:
            return self._groups[name].size, self._areas[name]

        for (size, area), names in itertools.groupby(self._groups, alike):
            groups = {name: self._groups[name] for name in names}
            crops = crop.random_crops(
                image,
                seed,
                count=sum(group.count for group in groups.values()),
                size=size,
                area=area,
                kernel=self._kernel,
                covered=self._covered,
                first=numbers[next(iter(groups))].start,
                views=self._count,
            )
            found |= split_views(crops, groups)
        return found

    def batch(
        self, views: Views, *, step_seed: tf.Tensor, example_seeds: tf.Tensor
    ) -> Views:
        """Does the rest on the device; see `Augmentation.batch`.

        Where blurred, one sigma for each view of the global batch; each image of it is
        blurred or not by its own coin.
        """
        return Views(
            {
                layout: self._finish(
                    views.joined(name for name, _ in layout),
                    step_seed,
                    example_seeds,
                    numbers,
                )
                for layout, numbers in stack_numbers(self._groups).items()
            }
        )

    def drawn(self, seed: tf.Tensor) -> list[list[str]]:
        """Returns what is drawn for each view of an example, for people to read.

        Args:
            seed: int32 [2], the example's.

        Returns:
            For each view, the operations in their order, such as `flip`, `hue +0.10`,
            `Rotate`, `gray`, `blur`, `solarize`; without the crop, and without the
            blur's sigma, which is the batch's.
        """
        seeds = view_seed(seed, tf.range(self._count))
        coins, jitter, operations = (part.numpy() for part in self._numbers(seeds))
        drawn = uniform(seed[tf.newaxis], 2 * self._count)[0].numpy()
        blurs = drawn[: self._count] < self._blurred(range(self._count))
        solarized = drawn[self._count :] < np.array(self._solarize)
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
            words += ["solarize"] if solarized[view] else []
            found.append(words)
        return found

    @functools.cached_property
    def _finish(self) -> Callable[..., tf.Tensor]:
        # Compiled wherever it runs: on a CPU, too, that makes it several times faster.
        return tf.function(self._finished, autograph=False, jit_compile=True)

    def _finished(
        self,
        stack: tf.Tensor,
        step_seed: tf.Tensor,
        example_seeds: tf.Tensor,
        numbers: tuple[int, ...],
    ) -> tf.Tensor:
        count, batch, *shape = stack.shape
        at_once = self._kind != "CPU"
        if self.placement == "host":
            images = tf.image.convert_image_dtype(stack, tf.float32)
        else:
            rows = count * batch
            seeds = view_seed(example_seeds, tf.constant(numbers)[:, tf.newaxis])
            images = self._distorted(
                tf.reshape(stack, [rows, *shape]),
                tf.reshape(seeds, [rows, 2]),
                at_once=at_once,
            )
            images = tf.reshape(images, stack.shape)
        # The first numbers of a seed do not depend on how many are drawn.
        blurred = self._blurred(numbers)
        if any(blurred):
            low, high = SIGMA
            drawn = uniform(step_seed[tf.newaxis], self._count)[0]
            images = random_blur(
                images,
                sigma=low + (high - low) * _taken(drawn, numbers),
                coins=self._coins(example_seeds, 0, numbers, blurred),
                at_once=at_once,
            )
        solarized = [self._solarize[number] for number in numbers]
        if any(solarized):
            coins = self._coins(example_seeds, 1, numbers, solarized)
            images = tf.where(
                coins[..., tf.newaxis, tf.newaxis, tf.newaxis],
                color.solarize(images),
                images,
            )
        return images

    def _coins(
        self,
        example_seeds: tf.Tensor,
        toss: int,
        numbers: Sequence[int],
        odds: Sequence[float],
    ) -> tf.Tensor:
        """Returns which views something is done to, bool [views, batch]."""
        drawn = tf.transpose(uniform(example_seeds, (toss + 1) * self._count))
        own = _taken(drawn[toss * self._count :], numbers)
        return own < tf.constant(odds, tf.float32)[:, tf.newaxis]

    def _blurred(self, numbers: Sequence[int]) -> list[float]:
        """Returns the probabilities of blur of views: 0 if the kernel is one pixel."""
        return [
            self._blur[number] if taps(self._sizes[number]) > 1 else 0.0
            for number in numbers
        ]

    def _each(self, option: str, odds: Odds) -> tuple[float, ...]:
        if len(odds) != self._count:
            raise UserError(
                f"{option} has {len(odds)} probabilities for {self._count} views; "
                "wanted one per view"
            )
        return tuple(odds)

    @property
    def _kind(self) -> DeviceKind:
        """The kind of device of the step, given by the core or else found here."""
        if self._device is not None:
            return self._device
        return kind_of_devices([d.name for d in tf.config.list_logical_devices()])

    @functools.cached_property
    def _distort(self) -> Callable[..., tf.Tensor]:
        def distort(
            crops: tf.Tensor, seed: tf.Tensor, numbers: tuple[int, ...]
        ) -> tf.Tensor:
            seeds = view_seed(seed, tf.constant(numbers))
            # tf.data runs on a CPU, whatever the device of the step.
            return crop.to_uint8(self._distorted(crops, seeds, at_once=False))

        return tf.function(distort, autograph=False, jit_compile=True)

    def _distorted(
        self, crops: tf.Tensor, seeds: tf.Tensor, *, at_once: bool
    ) -> tf.Tensor:
        """Mirrors crops and changes their colours.

        Args:
            crops: uint8 [n, size, size, 3].
            seeds: int32 [n, 2], the views'.
            at_once: whether to process all of them at once, or one after the other.

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
        """Draws the random numbers of views: two coins, the jitter's, RandAugment's."""
        layers = self._randaugment.layers if self._randaugment is not None else 0
        parts = [2, color.NUMBERS, NUMBERS * layers]
        return tf.split(uniform(seeds, sum(parts)), parts, axis=1)


def _taken(rows: tf.Tensor, numbers: Sequence[int]) -> tf.Tensor:
    """Returns some rows; consecutive ones, which is the usual case, by a slice."""
    first, last = numbers[0], numbers[-1]
    if last - first + 1 == len(numbers):
        return rows[first : last + 1]
    return tf.gather(rows, tf.constant(numbers))
