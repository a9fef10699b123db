"""The contents of a run's folder, to compare two runs bit for bit."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

_TIMES = ("time", "machine")


def left_by(workdir: pathlib.Path) -> dict[str, Any]:
    """Returns the contents of a run's folder, without what differs between repetitions.

    Tensors are digested. Left out are the fields `time` and `machine` of metrics, the
    curves under `machine/` of TensorBoard, and the times of checkpoints.
    """
    return {
        "files": sorted(_names(workdir)),
        "config": (workdir / "config.gin").read_text(),
        "data": json.loads((workdir / "data.json").read_text()),
        "checkpoints": {
            path.stem: _checkpoint(path.with_suffix(""))
            for path in sorted((workdir / "checkpoints").glob("step_*.index"))
        },
        "metrics": [
            {name: value for name, value in line.items() if name not in _TIMES}
            for line in map(
                json.loads, (workdir / "metrics.jsonl").read_text().splitlines()
            )
        ],
        "scalars": scalars(workdir / "tensorboard"),
        "results": {
            path.name: json.loads(path.read_text())
            for path in sorted(workdir.glob("result*.json"))
        },
    }


def _names(workdir: pathlib.Path) -> Iterator[str]:
    for path in workdir.rglob("*"):
        if path.is_file() and path.parent.name != "tensorboard":
            yield str(path.relative_to(workdir))


def _checkpoint(prefix: pathlib.Path) -> dict[str, Any]:
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(prefix))
    beside = json.loads(pathlib.Path(f"{prefix}.note.json").read_text())
    return {
        "tensors": {
            name: _digest(reader.get_tensor(name))
            for name in sorted(reader.get_variable_to_shape_map())
        },
        "note": beside["note"],
        "measures": beside["measures"],
    }


def _digest(value: Any) -> str:
    text = f"{value.dtype} {value.shape}"
    return f"{text} {hashlib.sha256(value.tobytes()).hexdigest()[:16]}"


def scalars(folder: pathlib.Path) -> dict[str, list[list[Any]]]:
    """Returns the curves that TensorBoard shows: tag -> [step, bits], in order.

    Its rules are: files in the order of their names; a file up to its last complete
    record; and a START record removes the steps from its own on.
    """
    import numpy as np
    import tensorflow as tf

    found: dict[str, list[list[Any]]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in _events(path):
            if event.HasField("session_log"):
                for tag, points in found.items():
                    found[tag] = [one for one in points if one[0] < event.step]
            for value in event.summary.value:
                plugin = value.metadata.plugin_data.plugin_name
                if plugin == "scalars" and not value.tag.startswith("machine/"):
                    bits = np.asarray(tf.make_ndarray(value.tensor)).tobytes().hex()
                    points = found.setdefault(value.tag, [])
                    point = [int(event.step), bits]
                    # Accuracies may be reported twice, if a run was killed in between.
                    twice = value.tag.startswith("result/") and points[-1:] == [point]
                    if not twice:
                        points.append(point)
    return found


def _events(path: pathlib.Path) -> Iterator[Any]:
    import tensorflow as tf

    try:
        for record in tf.data.TFRecordDataset(str(path)):
            yield tf.compat.v1.Event.FromString(record.numpy())
    except tf.errors.DataLossError:
        return


def exported(folder: pathlib.Path) -> dict[str, Any]:
    """Returns an export's results for fixed images, and its files."""
    import numpy as np
    import tensorflow as tf

    encoder = tf.saved_model.load(str(folder))
    side = encoder.signatures["serving_default"].structured_input_signature[1]
    (images,) = side.values()
    pixels = np.random.default_rng(0).random([3, *images.shape[1:]], np.float32)
    return {
        "files": sorted(
            str(path.relative_to(folder))
            for path in folder.rglob("*")
            if path.is_file()
        ),
        "outputs": {
            name: _digest(value.numpy())
            for name, value in sorted(encoder(tf.constant(pixels)).items())
        },
        "beside": sorted(os.listdir(folder.parent)),
    }


def differences(wanted: Any, found: Any, place: str = "") -> list[str]:
    """Returns a line for each place where two of these differ."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [
            line
            for name in sorted(wanted.keys() | found.keys(), key=str)
            for line in differences(
                wanted.get(name), found.get(name), f"{place}/{name}"
            )
        ]
    if isinstance(wanted, list) and isinstance(found, list):
        if len(wanted) != len(found):
            return [f"{place}: {len(wanted)} entries wanted, {len(found)} found"]
        return [
            line
            for number, (one, other) in enumerate(zip(wanted, found, strict=True))
            for line in differences(one, other, f"{place}/{number}")
        ]
    if type(wanted) is type(found) and wanted == found:
        return []
    return [f"{place}: {str(wanted)[:120]} wanted, {str(found)[:120]} found"]
