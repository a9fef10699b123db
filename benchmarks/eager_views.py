"""How much processor time the views of an image cost when made eagerly, in Pillow.

    python benchmarks/eager_views.py --data-dir DIR

These are the operations that `input_pipeline.py` compares, written like torchvision's
transforms: eagerly, one view after the other, on Pillow images of 8 bits, with a branch
in Python for every random choice, and an array of floats at the end. Prints one line of
JSON for it and one for each of this project's two placements, measured in the same
process: processor time on one thread, the best of several rounds.

Needs the TFDS datasets that `input_pipeline.py` needs.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import random
from collections.abc import Callable, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import input_pipeline
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from sslkit.data import data

_FILL = (128, 128, 128)
_LEVEL = 0.7  # magnitude 7 of 10


def main() -> None:
    """Measures with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--small", default="cifar10_subset", help="the 32 px dataset")
    parser.add_argument("--large", default="imagenet2012", help="the 224 px dataset")
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 224])
    parser.add_argument("--views", type=int, nargs="+", default=[2, 10])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    for size in args.sizes:
        name = args.small if size == 32 else args.large
        images = 256 if size == 32 else 16
        encoded = read(name, args.data_dir, images)
        source = data(name=name, data_dir=args.data_dir).source("train")
        for count in args.views:
            eager = measure(encoded, size, count, rounds=args.rounds)
            ours = input_pipeline.measure(
                source, size, count, images=images, rounds=args.rounds
            )
            for row in (
                eager,
                *(r for r in ours if r["pipeline"] in input_pipeline.OURS),
            ):
                row["eager_speedup"] = (
                    eager["total_ms_per_image"] / row["total_ms_per_image"]
                )
                print(
                    json.dumps({k: input_pipeline.rounded(v) for k, v in row.items()})
                )


def read(name: str, data_dir: str, images: int) -> list[bytes]:
    """Returns the files of the first images of a dataset."""
    dataset = tfds.load(
        name,
        split=f"train[:{images}]",
        data_dir=data_dir,
        download=False,
        decoders={"image": tfds.decode.SkipDecoding()},
    )
    return [bytes(example["image"]) for example in dataset.as_numpy_iterator()]


def measure(
    encoded: Sequence[bytes], size: int, count: int, *, rounds: int
) -> dict[str, object]:
    """Measures decoding once and making all views of each image."""
    rng = random.Random(3)

    def work() -> list[np.ndarray]:
        return [views(content, rng, size=size, count=count) for content in encoded]

    work()
    best = min(input_pipeline.processor_time(work) for _ in range(rounds))
    return {
        "size": size,
        "views": count,
        "pipeline": "eager",
        "host_ms_per_image": best / len(encoded) * 1e3,
        "total_ms_per_image": best / len(encoded) * 1e3,
        "views_per_s_per_core": len(encoded) * count / best,
    }


def views(content: bytes, rng: random.Random, *, size: int, count: int) -> np.ndarray:
    """Returns views of an encoded image, float32 [count, size, size, 3] in [0, 1]."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    arrays = [
        np.asarray(_view(image, rng, size), np.float32) / 255 for _ in range(count)
    ]
    return np.stack(arrays)


def _view(image: Image.Image, rng: random.Random, size: int) -> Image.Image:
    view = image.crop(_box(image.size, rng))
    view = view.resize((size, size), Image.Resampling.BICUBIC)
    if rng.random() < 0.5:
        view = ImageOps.mirror(view)
    if rng.random() < 0.8:
        view = _jitter(view, rng)
    for _ in range(2):
        view = rng.choice(_OPERATIONS)(view, rng)
    if rng.random() < 0.2:
        view = view.convert("L").convert("RGB")
    if size > 32 and rng.random() < 0.5:
        view = view.filter(ImageFilter.GaussianBlur(rng.uniform(0.1, 2.0)))
    return view


def _box(size: tuple[int, int], rng: random.Random) -> tuple[int, int, int, int]:
    width, height = size
    for _ in range(10):
        area = rng.uniform(0.08, 1.0) * width * height
        aspect = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = rng.randint(0, width - w), rng.randint(0, height - h)
            return left, top, left + w, top + h
    return 0, 0, width, height


def _jitter(view: Image.Image, rng: random.Random) -> Image.Image:
    changes: list[Callable[[Image.Image], Image.Image]] = [
        lambda now: ImageEnhance.Brightness(now).enhance(rng.uniform(0.2, 1.8)),
        lambda now: ImageEnhance.Contrast(now).enhance(rng.uniform(0.2, 1.8)),
        lambda now: ImageEnhance.Color(now).enhance(rng.uniform(0.2, 1.8)),
        lambda now: _hue(now, rng.uniform(-0.2, 0.2)),
    ]
    rng.shuffle(changes)
    for change in changes:
        view = change(view)
    return view


def _hue(view: Image.Image, shift: float) -> Image.Image:
    hue, saturation, value = view.convert("HSV").split()
    turned = np.asarray(hue) + np.uint8(round(shift * 255) % 256)
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert(
        "RGB"
    )


def _affine(view: Image.Image, *matrix: float) -> Image.Image:
    return view.transform(
        view.size,
        Image.Transform.AFFINE,
        matrix,
        Image.Resampling.NEAREST,
        fillcolor=_FILL,
    )


def _cutout(view: Image.Image, rng: random.Random) -> Image.Image:
    half = int(40 * _LEVEL)
    x, y = rng.randrange(view.width), rng.randrange(view.height)
    view = view.copy()
    view.paste(_FILL, (x - half, y - half, x + half, y + half))
    return view


def _solarize_add(view: Image.Image, rng: random.Random) -> Image.Image:
    addition = int(110 * _LEVEL)
    table = [min(255, v + addition) if v < 128 else v for v in range(256)]
    return view.point(table * 3)


def _sign(rng: random.Random) -> int:
    return rng.choice((-1, 1))


_FACTOR = 1.8 * _LEVEL + 0.1
_OPERATIONS: list[Callable[[Image.Image, random.Random], Image.Image]] = [
    lambda view, rng: ImageOps.autocontrast(view),
    lambda view, rng: ImageOps.equalize(view),
    lambda view, rng: ImageOps.invert(view),
    lambda view, rng: view.rotate(_sign(rng) * 30 * _LEVEL, fillcolor=_FILL),
    lambda view, rng: ImageOps.posterize(view, int(4 * _LEVEL)),
    lambda view, rng: ImageOps.solarize(view, int(256 * _LEVEL)),
    lambda view, rng: ImageEnhance.Color(view).enhance(_FACTOR),
    lambda view, rng: ImageEnhance.Contrast(view).enhance(_FACTOR),
    lambda view, rng: ImageEnhance.Brightness(view).enhance(_FACTOR),
    lambda view, rng: ImageEnhance.Sharpness(view).enhance(_FACTOR),
    lambda view, rng: _affine(view, 1, _sign(rng) * 0.3 * _LEVEL, 0, 0, 1, 0),
    lambda view, rng: _affine(view, 1, 0, 0, _sign(rng) * 0.3 * _LEVEL, 1, 0),
    lambda view, rng: _affine(view, 1, 0, _sign(rng) * 100 * _LEVEL, 0, 1, 0),
    lambda view, rng: _affine(view, 1, 0, 0, 0, 1, _sign(rng) * 100 * _LEVEL),
    _cutout,
    _solarize_add,
]


if __name__ == "__main__":
    main()
