"""The model card of an export: the encoder, its results, its recipe."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from sslkit.evaluate.results import SHARES
from sslkit.evaluation import numbers_of
from sslkit.views.crop import WHOLE_IMAGE_SIZE


def model_card(
    *,
    objective: str,
    encoder: str,
    feature_dim: int,
    size: int,
    step: int,
    steps: int,
    config: str,
    result: Mapping[str, Any] | None,
    load: str,
    trained_in: str | None = None,
    computes_in: str = "float32",
) -> str:
    """Writes a model card.

    Args:
        objective: the name of the objective.
        encoder: a short description of the encoder.
        feature_dim: width of the features.
        size: side of the images, in pixels.
        step: updates done.
        steps: updates of the whole run.
        config: the resolved configuration, as gin text.
        result: the result of the run's last evaluation (`result.json`); None if there
            was none.
        load: lines of Python that load the export.
        trained_in: the precision that the network was trained in; None if not known.
        computes_in: the precision of the export.

    Returns:
        Markdown.
    """
    done = "finished" if step >= steps else "stopped early"
    lines = [
        f"# An encoder trained with the objective {objective}",
        "",
        f"- encoder: {encoder}; images [n, {size}, {size}, 3] in [0, 1] to "
        f"{feature_dim} features",
        f"- step: {step:,} of {steps:,} ({done})",
        f"- precision: {_precision(trained_in, computes_in)}",
        f"- configuration: SHA-256 `{config_hash(config)}`, in full below",
        "",
        "## Use",
        "",
        "```python",
        load,
        "```",
        "",
        "## From a file to images",
        "",
        *_from_a_file(size),
        "",
        "## Measured",
        "",
        *_measured(step, result),
        "",
        "## Recipe",
        "",
        "```text",
        config.strip(),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _from_a_file(size: int) -> list[str]:
    """Returns what `evaluation_view` does to a photograph, in plain TensorFlow."""
    whole = size <= WHOLE_IMAGE_SIZE
    kept = "as long as" if whole else "87.5% of"
    return [
        f"The central square of a photograph, {kept} its shorter side, as all",
        "evaluations and `sslkit embed` take it. One with an EXIF orientation is",
        "turned before.",
        "",
        "```python",
        "import tensorflow as tf",
        "",
        "content = tf.io.read_file(path)  # of a JPEG or PNG",
        "image = tf.io.decode_image(content, channels=3, expand_animations=False)",
        f"side = round({1.0 if whole else 0.875} * min(image.shape[:2]))",
        "top, left = ((length - side + 1) // 2 for length in image.shape[:2])",
        "square = tf.cast(image[top : top + side, left : left + side], tf.float32)",
        f"images = tf.compat.v1.image.resize_bicubic(square[None], [{size}, {size}])",
        "images = tf.floor(tf.clip_by_value(images + 0.5, 0, 255)) / 255",
        "```",
    ]


def _precision(trained_in: str | None, computes_in: str) -> str:
    here = f"computes in {computes_in}, from float32 weights to float32 features"
    if trained_in in (None, computes_in):
        return here
    return f"{here}; trained, and measured below, in {trained_in}"


def config_hash(config: str) -> str:
    """Returns the SHA-256 of a configuration's text, 64 hexadecimal digits."""
    return hashlib.sha256(config.encode()).hexdigest()


def _measured(step: int, result: Mapping[str, Any] | None) -> list[str]:
    if result is None or not result["rows"]:
        return ["No accuracy was measured yet; `sslkit evaluate` measures it."]
    lines = []
    if result["step"] != step:
        lines += [
            f"These are the results of step {result['step']:,}, not of this export.",
            "",
        ]
    names = dict.fromkeys(name for row in result["rows"] for name in numbers_of(row))
    heads = [SHARES.get(name, name) for name in names]
    heads = ["protocol", "representation", *heads, "train", "test"]
    lines += [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in result["rows"]:
        numbers = numbers_of(row)
        shown = [_shown(name, numbers.get(name)) for name in names]
        detail = f" ({row['detail']})" if row["detail"] else ""
        lines.append(
            f"| {row['protocol']}{detail} | {row['representation']} "
            f"| {' | '.join(shown)} "
            f"| {row['n_train']:,} | {row['n_test']:,} |"
        )
    lines += [f"\n{note}" for note in result["notes"]]
    return lines


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2%}" if name in SHARES else f"{value:.4g}"
