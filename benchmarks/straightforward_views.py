"""The published views, written in a straightforward way, for comparison.

One view and one operation at a time, on the host, with TensorFlow's image operations
and a branch for every random choice; only the blur is batched. The distribution is that
of the published code (Chen et al. 2020; Huynh et al. 2020). It shares no code with
sslkit.views, with which it is compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

_FILL = 128


def views(
    image: tf.Tensor, seed: tf.Tensor, *, count: int, size: int, magnitude: float = 7
) -> tf.Tensor:
    """Makes all views of an image without the blur: float32 [count, size, size, 3]."""
    return tf.map_fn(
        lambda number: _view(
            image, tf.random.fold_in(seed, number, alg="philox"), size, magnitude
        ),
        tf.range(count),
        fn_output_signature=tf.TensorSpec([size, size, 3], tf.float32),
    )


def blur(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Blurs half of a batch [batch, views, size, size, 3], with one sigma per view."""
    size = images.shape[2]
    radius = size // 10 // 2
    blurred = []
    for number, view in enumerate(tf.unstack(images, axis=1)):
        own = tf.random.fold_in(seed, number, alg="philox")
        numbers = tf.random.stateless_uniform([1 + images.shape[0]], own)
        sigma = 0.1 + 1.9 * numbers[0]
        offsets = tf.range(-radius, radius + 1, dtype=tf.float32)
        kernel = tf.exp(-tf.square(offsets) / (2 * tf.square(sigma)))
        kernel = kernel / tf.reduce_sum(kernel)
        smooth = view
        for shape in ([-1, 1, 1, 1], [1, -1, 1, 1]):
            smooth = tf.nn.depthwise_conv2d(
                smooth,
                tf.tile(tf.reshape(kernel, shape), [1, 1, 3, 1]),
                [1, 1, 1, 1],
                "SAME",
            )
        chosen = tf.cast(numbers[1:] < 0.5, tf.float32)[:, None, None, None]
        blurred.append(tf.clip_by_value(smooth * chosen + view * (1 - chosen), 0, 1))
    return tf.stack(blurred, axis=1)


def crop(image: tf.Tensor, seed: tf.Tensor, size: int) -> tf.Tensor:
    """Cuts out one random box and resizes it: float32 [size, size, 3] in 0 to 255."""
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(image),
        bounding_boxes=tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        seed=seed,
        min_object_covered=0.1,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(0.08, 1.0),
        max_attempts=100,
        use_image_if_no_bounding_boxes=True,
    )
    patch = tf.slice(image, begin, extent)[tf.newaxis]
    resized = tf.raw_ops.ResizeBicubic(images=patch, size=[size, size])
    return tf.ensure_shape(resized[0], [size, size, 3])


def _view(image: tf.Tensor, seed: tf.Tensor, size: int, magnitude: float) -> tf.Tensor:
    seeds = tf.unstack(tf.random.split(seed, 5, alg="philox"))
    view = crop(image, seeds[0], size) / 255
    coins = tf.random.stateless_uniform([3], seeds[1])
    view = tf.cond(coins[0] < 0.5, lambda: tf.reverse(view, [1]), lambda: view)
    view = tf.cond(coins[1] < 0.8, lambda: _jitter(view, seeds[2]), lambda: view)
    pixels = tf.image.convert_image_dtype(
        tf.clip_by_value(view, 0, 1), tf.uint8, saturate=True
    )
    for layer_seed in (seeds[3], seeds[4]):
        pixels = _randaugment_layer(pixels, layer_seed, magnitude)
    view = tf.image.convert_image_dtype(pixels, tf.float32)
    return tf.cond(
        coins[2] < 0.2,
        lambda: tf.image.grayscale_to_rgb(tf.image.rgb_to_grayscale(view)),
        lambda: view,
    )


def _jitter(view: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    numbers = tf.random.stateless_uniform([8], seed)
    factors = 0.2 + 1.6 * numbers[:3]
    order = tf.argsort(numbers[4:])
    for place in range(4):
        now = view
        changes: list[Callable[[], tf.Tensor]] = [
            lambda now=now: now * factors[0],
            lambda now=now: tf.image.adjust_contrast(now, factors[1]),
            lambda now=now: tf.image.adjust_saturation(now, factors[2]),
            lambda now=now: tf.image.adjust_hue(now, 0.4 * numbers[3] - 0.2),
        ]
        view = tf.clip_by_value(tf.switch_case(order[place], changes), 0, 1)
    return view


def _randaugment_layer(
    image: tf.Tensor, seed: tf.Tensor, magnitude: float
) -> tf.Tensor:
    numbers = tf.random.stateless_uniform([4], seed)
    level = magnitude / 10
    factor = level * 1.8 + 0.1
    sign = tf.where(numbers[1] < 0.5, -1.0, 1.0)
    sides = tf.cast(tf.shape(image)[:2], tf.float32)
    centre = tf.cast(numbers[2:] * sides, tf.int32)
    slope, pixels = sign * level * 0.3, sign * level * 100
    return tf.switch_case(
        tf.cast(numbers[0] * 16, tf.int32),
        [
            lambda: _auto_contrast(image),
            lambda: _equalize(image),
            lambda: 255 - image,
            lambda: _rotate(image, sign * level * 30),
            lambda: tf.bitwise.bitwise_and(
                image, tf.constant(256 - 2 ** min(8 - int(level * 4), 7), tf.uint8)
            ),
            lambda: tf.where(
                image < tf.constant(int(level * 256) % 256, tf.uint8),
                image,
                255 - image,
            ),
            lambda: _blend(
                tf.image.grayscale_to_rgb(tf.image.rgb_to_grayscale(image)),
                image,
                factor,
            ),
            lambda: _blend(
                tf.fill(
                    tf.shape(image), tf.reduce_prod(tf.shape(image)[:2]) // 256 % 256
                ),
                image,
                factor,
            ),
            lambda: _saturate(tf.cast(image, tf.float32) * factor),
            lambda: _sharpness(image, factor),
            lambda: _transform(image, [1.0, slope, 0.0, 0.0, 1.0, 0.0]),
            lambda: _transform(image, [1.0, 0.0, 0.0, slope, 1.0, 0.0]),
            lambda: _transform(image, [1.0, 0.0, pixels, 0.0, 1.0, 0.0]),
            lambda: _transform(image, [1.0, 0.0, 0.0, 0.0, 1.0, pixels]),
            lambda: _cutout(image, centre, int(level * 40)),
            lambda: tf.where(
                image < 128,
                _saturate(tf.cast(image, tf.float32) + int(level * 110)),
                image,
            ),
        ],
    )


def _auto_contrast(image: tf.Tensor) -> tf.Tensor:
    values = tf.cast(image, tf.float32)
    low = tf.reduce_min(values, axis=[0, 1])
    width = tf.reduce_max(values, axis=[0, 1]) - low
    stretched = _saturate((values - low) * (255.0 / tf.maximum(width, 1.0)))
    return tf.where(width > 0, stretched, image)


def _equalize(image: tf.Tensor) -> tf.Tensor:
    channels = []
    for values in tf.unstack(tf.cast(image, tf.int32), axis=-1):
        histogram = tf.histogram_fixed_width(values, [0, 255], nbins=256)
        last = histogram[tf.reduce_max(values)]
        step = (tf.reduce_sum(histogram) - last) // 255
        below = tf.cumsum(histogram, exclusive=True)
        divisor = tf.maximum(step, 1)
        table = tf.clip_by_value((below + divisor // 2) // divisor, 0, 255)
        table = tf.where(step > 0, table, tf.range(256))
        channels.append(tf.gather(table, values))
    return tf.cast(tf.stack(channels, axis=-1), tf.uint8)


def _sharpness(image: tf.Tensor, factor: float) -> tf.Tensor:
    kernel = tf.constant([[1, 1, 1], [1, 5, 1], [1, 1, 1]], tf.float32) / 13
    smooth = tf.nn.depthwise_conv2d(
        tf.cast(image, tf.float32)[tf.newaxis],
        tf.tile(kernel[:, :, tf.newaxis, tf.newaxis], [1, 1, 3, 1]),
        [1, 1, 1, 1],
        "VALID",
    )[0]
    inner = _blend(tf.floor(smooth), image[1:-1, 1:-1], factor)
    lines = tf.concat([image[1:-1, :1], inner, image[1:-1, -1:]], axis=1)
    return tf.concat([image[:1], lines, image[-1:]], axis=0)


def _rotate(image: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
    angle = degrees * (math.pi / 180)
    cos, sin = tf.cos(angle), tf.sin(angle)
    shape = tf.cast(tf.shape(image), tf.float32)
    y, x = shape[0] - 1, shape[1] - 1
    right = (x - (cos * x - sin * y)) / 2
    down = (y - (sin * x + cos * y)) / 2
    return _transform(image, [cos, -sin, right, sin, cos, down])


def _cutout(image: tf.Tensor, centre: tf.Tensor, half: int) -> tf.Tensor:
    near = [
        tf.abs(tf.range(tf.shape(image)[axis]) - centre[axis]) < half for axis in (0, 1)
    ]
    square = tf.logical_and(near[0][:, tf.newaxis], near[1])[..., tf.newaxis]
    return tf.where(square, tf.constant(_FILL, tf.uint8), image)


def _transform(image: tf.Tensor, matrix: list) -> tf.Tensor:
    row = tf.stack([tf.cast(entry, tf.float32) for entry in [*matrix, 0.0, 0.0]])
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[tf.newaxis],
        transforms=row[tf.newaxis],
        output_shape=tf.shape(image)[:2],
        fill_value=float(_FILL),
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )
    return tf.ensure_shape(moved[0], image.shape)


def _blend(start: tf.Tensor, end: tf.Tensor, factor: float) -> tf.Tensor:
    start, end = tf.cast(start, tf.float32), tf.cast(end, tf.float32)
    return _saturate(start + factor * (end - start))


def _saturate(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.clip_by_value(values, 0, 255), tf.uint8)
