"""A trained encoder as an ONNX file, with the optional package tf2onnx."""

from __future__ import annotations

import importlib
import os

import tensorflow as tf

from sslkit.api import Backbone, UserError
from sslkit.storage import on_disk, reaching, replacing

OPSET = 17


def save_onnx(encoder: Backbone, path: str | os.PathLike[str], *, size: int) -> str:
    """Writes an encoder in inference mode as an ONNX file.

    Args:
        encoder: the encoder, built.
        path: the path of the file.
        size: side of the images, in pixels.

    Returns:
        Lines of Python that load and call it with onnxruntime.

    Raises:
        UserError: if tf2onnx is not installed, or the file cannot be written.
    """
    try:
        convert = importlib.import_module("tf2onnx.convert")
    except ImportError as error:
        raise UserError(
            "writing ONNX needs the package tf2onnx. Install it, and onnxruntime to "
            "load the file: pip install tf2onnx onnxruntime"
        ) from error
    target = on_disk(path)
    spec = tf.TensorSpec([None, size, size, 3], tf.float32, name="images")

    @tf.function(input_signature=[spec])
    def encode(images: tf.Tensor) -> tf.Tensor:
        features = encoder(images, training=False)
        return tf.identity(tf.cast(features, tf.float32), name="features")

    with reaching("the export", str(target), verb="written"), replacing(target) as path:
        convert.from_function(
            encode, input_signature=[spec], opset=OPSET, output_path=path
        )
    return (
        "import numpy, onnxruntime\n"
        f"encoder = onnxruntime.InferenceSession({str(target)!r})\n"
        f'images = numpy.zeros([1, {size}, {size}, 3], "float32")  # in [0, 1]\n'
        '(features,) = encoder.run(None, {"images": images})'
        f"  # float32 [1, {encoder.feature_dim}]"
    )
