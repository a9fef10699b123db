"""The contract of augmentations, which make the views of images."""

from __future__ import annotations

import abc
from collections.abc import Mapping

import tensorflow as tf

from sslkit.batch import ViewGroup, Views
from sslkit.replica import DeviceKind

__all__ = ["Augmentation"]


class Augmentation(abc.ABC):
    """Makes the views of an image, part on the host and part on the device.

    Both parts are pure functions of their seeds: the same seed gives the same views
    on any machine, host or number of replicas.
    """

    @property
    @abc.abstractmethod
    def groups(self) -> Mapping[str, ViewGroup]:
        """The groups of views, e.g. `{"instance": (2, 224), "support": (8, 224)}`."""

    def on(self, device: DeviceKind) -> Augmentation:
        """Returns this augmentation for a training step on one kind of device.

        The core calls it once per run, before any view is made, and uses the returned
        augmentation for both parts. Override it if the division of work between host
        and device, or the way in which views are computed, depends on the device; then
        it returns another object, and this one does not change. The views are the same
        on all kinds of devices, apart from rounding, which the author states.

        Args:
            device: the kind of device of all replicas of the step. `example` runs on a
                CPU in any case.

        Returns:
            An augmentation with the same groups; itself unless overridden.
        """
        del device
        return self

    def describe(self) -> str:
        """Returns where views are finished, for the log: `host` or `device`.

        More text may follow.
        """
        own = type(self).batch is not Augmentation.batch
        return "device" if own else "host"

    @abc.abstractmethod
    def example(self, image: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes the views of one image, inside tf.data on the host.

        Args:
            image: uint8 [height, width, 3], any size.
            seed: int32 [2], a function of (run seed, epoch, example index); the seed of
                each view is made from it and the view's number.

        Returns:
            Group -> uint8 [count, size, size, 3], static shapes.
        """

    def batch(
        self, views: Views, *, step_seed: tf.Tensor, example_seeds: tf.Tensor
    ) -> Mapping[str, tf.Tensor]:
        """Finishes the views of a batch on the device, in replica context.

        The default converts uint8 to float32 in [0, 1].

        Args:
            views: group -> uint8 [count, batch, size, size, 3].
            step_seed: int32 [2], a function of (run seed, step); the same on all
                replicas. It is for numbers that are drawn once per global batch.
            example_seeds: int32 [batch, 2], the seeds that `example` received. They are
                for numbers that are drawn per image.

        Returns:
            Group -> float32 in [0, 1], the shapes of `views`. If it returns `Views`,
            for example from `views.map`, objectives can join groups without a copy.
        """
        del step_seed, example_seeds
        return views.map(lambda stack: tf.image.convert_image_dtype(stack, tf.float32))
