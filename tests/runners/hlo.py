"""The program that XLA makes from a training step, as text to examine."""

from __future__ import annotations

import collections
import re

import tensorflow as tf

from sslkit.data.batches import TrainingBatch
from sslkit.training.run import Training

_TYPE = re.compile(r"\b(pred|bf16|[csuf]\d+)\[([^\]]*)\]")
_PRODUCT = re.compile(r"= (\w+)\[[^\]]*\]\S* (?:dot|convolution)\(")
_CUSTOM_CALL = re.compile(r'custom_call_target="([^"]*)"')
_TO_HOST = re.compile(r"(?<!\w)(?:infeed|outfeed|send|recv)\(")


class Program:
    """A step as XLA's text, before it is optimised for a device.

    Attributes:
        types: element type -> the sides of its arrays, as written.
        products: element types of matrix products and convolutions.
        calls: what it calls outside XLA, by any means.
    """

    def __init__(self, text: str):
        """Reads the program."""
        self.types: dict[str, set[str]] = collections.defaultdict(set)
        for kind, sides in _TYPE.findall(text):
            self.types[kind].add(sides)
        self.products = set(_PRODUCT.findall(text))
        self.calls = set(_CUSTOM_CALL.findall(text)) | set(_TO_HOST.findall(text))

    @property
    def dynamic(self) -> set[str]:
        """Arrays whose size XLA knows only as a bound, written `<=8`."""
        return {
            f"{kind}[{sides}]"
            for kind, found in self.types.items()
            for sides in found
            if "<=" in sides or "?" in sides
        }


def lower(training: Training) -> Program:
    """Lowers a whole training step; runs nothing.

    For an operation without an XLA kernel, TensorFlow raises an error that names it.
    """
    step = tf.function(training.train_step(), jit_compile=True)
    batch = zeros(training)
    return Program(step.experimental_get_compiler_ir(batch)(stage="hlo"))


def zeros(training: Training) -> TrainingBatch:
    """Returns one replica's share of a batch as it leaves the host, black."""
    rows = training.batch_size
    return TrainingBatch(
        views={
            name: tf.zeros([rows, count, size, size, 3], tf.uint8)
            for name, (count, size) in training.augmentation.groups.items()
        },
        label=tf.zeros([rows], tf.int32),
        example_seeds=tf.zeros([rows, 2], tf.int32),
        index=tf.zeros([rows], tf.int32),
    )
