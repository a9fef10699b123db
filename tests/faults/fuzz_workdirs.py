"""Damaged files of a run's folder: checkpoints, and all others."""

from __future__ import annotations

import io
import json
import pathlib
import random
import shutil
from typing import Any

import keras
import numpy as np
from faults.fuzzing import READ, REFUSED, SKIPPED, Finding, Target, damaged

from sslkit import config
from sslkit.checkpoints import Checkpoints, find_checkpoint, read_note
from sslkit.errors import UserError
from sslkit.evaluate.health import health
from sslkit.evaluate.results import TRAINED, Results, Row
from sslkit.metrics_log import MetricsLog
from sslkit.ownership import Owner
from sslkit.status import read_status
from sslkit.training.actions import Means
from sslkit.workdir import Workdir

_NOTES: dict[int, dict[str, Any]] = {
    step: {"count": step % 7, "sums": {"loss": step / 3, "learning_rate": 0.125}}
    for step in (10, 20)
}


class CheckpointFiles(Target):
    """Damaged checkpoints: the saved values are restored, or a line says why not."""

    name = "checkpoints"

    def __init__(self, folder: pathlib.Path):
        """Writes two checkpoints.

        Args:
            folder: where inputs go.
        """
        self._whole = folder / "whole"
        self._folder = folder / "checkpoints"
        draw = np.random.default_rng(0)
        store = Checkpoints(str(self._whole))
        self._values: dict[int, dict[str, np.ndarray]] = {}
        for step, note in _NOTES.items():
            values = {
                "encoder/kernel": draw.random([7, 5], np.float32),
                "bank/rows": draw.random([3], np.float32),
                "step": np.asarray(step, np.int64),
            }
            self._values[step] = values
            measures = {"knn_top1": step / 100}
            store.save(_table(values), step=step, note=note, measures=measures)

    def attempt(self, draw: random.Random) -> str:
        """Implements `Target.attempt`."""
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.copytree(self._whole, self._folder)
        files = sorted(self._folder.iterdir())
        both = draw.random() < 0.2
        for path in draw.sample(files, 2 if both else 1):
            path.write_bytes(damaged(path.read_bytes(), draw))
        table = _table({n: np.zeros_like(v) for n, v in self._values[10].items()})
        said: list[str] = []
        store = Checkpoints(str(self._folder))
        store.best()
        prefix = store.restore_latest(table, say=said.append, mend=True)
        if any("\n" in line for line in said):
            raise Finding(f"not one line: {said}")
        if prefix is None:
            raise Finding("a run with damaged checkpoints starts anew without a word")
        step = int(prefix[-8:])
        for name, value in self._values[step].items():
            if table[name].numpy().tobytes() != value.tobytes():
                raise Finding(f"{name} of step {step} is not what was saved")
        note = read_note(prefix)
        Means(every=5, pending=note)
        if note != _NOTES[step]:
            raise Finding(f"the note of step {step} is {note}")
        return READ if step == 20 else SKIPPED


def _table(values: dict[str, np.ndarray]) -> dict[str, keras.Variable]:
    return {
        name: keras.Variable(value, dtype=value.dtype) for name, value in values.items()
    }


_CLAIM = {
    "token": "0123456789abcdef",
    "host": "elsewhere",
    "machine": "another",
    "pid": 4711,
    "born": "123",
    "start": "2026-01-01 00:00:00",
    "renewed": "2026-01-01 00:00:00",
    "renewals": 3,
    "holds": True,
    "instead_of": [],
}
_RESULT = {
    "step": 20,
    **Results(
        rows=(Row("kNN (k=20, T=0.07)", TRAINED, {"top1": 0.5, "top5": 0.75}, 60, 30),),
        health={TRAINED: health(np.random.default_rng(0).random([9, 4], np.float32))},
        health_split="test",
    ).to_json(),
}


class WorkdirFiles(Target):
    """Damaged records of a run, read by all of their readers."""

    name = "workdirs"

    def __init__(self, folder: pathlib.Path):
        """Makes the folder that is damaged.

        Args:
            folder: where inputs go.
        """
        root = pathlib.Path(__file__).resolve().parents[2]
        recipe = root / "gin" / "fnc_digits_pretrain.gin"
        self._folder = folder / "workdir"
        self._whole = {
            "config.gin": config.read([str(recipe)]).render().encode(),
            "metrics.jsonl": _metrics(),
            "data.json": _json({"train": {"name": "digits", "size": 3}, "steps": 20}),
            "result.json": _json(_RESULT),
            "result_20.json": _json(_RESULT),
            f"owner-{_CLAIM['token']}.json": _json(_CLAIM),
            "checkpoint": b'model_checkpoint_path: "model.ckpt-20"\n',
        }

    def attempt(self, draw: random.Random) -> str:
        """Implements `Target.attempt`."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        hit = draw.choice(sorted(self._whole))
        for name, content in self._whole.items():
            if name == hit and draw.random() < 0.3:
                content = _odd(draw)
            elif name == hit:
                content = damaged(content, draw)
            (self._folder / name).write_bytes(content)
        status = read_status(str(self._folder))
        if "\n" in status.state:
            raise Finding(f"not one line: {status.state!r}")
        outcomes = [
            _outcome(look, self._folder)
            for look in (_config, _metrics_file, _data, _result, _claim, _published)
        ]
        return REFUSED if REFUSED in outcomes else READ


def _odd(draw: random.Random) -> bytes:
    """Returns JSON of another type than expected."""
    deep = draw.choice((3, 100_000))
    return draw.choice(
        (
            b"",
            b"null",
            b"[]",
            b"{}",
            b"3",
            b"NaN",
            b'"x"',
            b"[" * deep,
            b'{"a":' * deep,
            b"[" * deep + b"]" * deep,
            b'{"step": null, "rows": 3, "train": {}, "steps": "x"}',
            b'{"step": "x", "rows": []}',
            b'{"step": 1e999, "rows": [3]}',
            b'{"step": 20, "rows": [{}], "health": 3, "notes": 1, "health_split": 1}',
            b'{"train": {"size": []}, "steps": -1}',
            b'{"train": {"size": 3}, "steps": 1' + b"0" * 5000 + b"}",
            b"\xff\xfe\x00",
            b'{"a": "\xff"}',
            b"\0" * 100,
            b"9" * 5000,
        )
    )


def _outcome(look: Any, folder: pathlib.Path) -> str:
    try:
        look(folder)
    except UserError as error:
        said = str(error)
        if not said.strip() or "\n" in said or len(said) > 5000:
            raise Finding(f"not one line: {said[:300]!r}") from error
        return REFUSED
    return READ


def _config(folder: pathlib.Path) -> None:
    workdir = Workdir(str(folder))
    resolution = config.read([workdir.config()])
    config.claim(workdir, resolution.render(), write=False, extend=False)


def _metrics_file(folder: pathlib.Path) -> None:
    with MetricsLog(str(folder), 20) as log:
        log.write(21, {"loss": 1.0})
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        json.loads(line)


def _data(folder: pathlib.Path) -> None:
    Workdir(str(folder)).data()


def _result(folder: pathlib.Path) -> None:
    workdir = Workdir(str(folder))
    result = workdir.result()
    if result is not None:
        import rich.console

        table = Results.from_json(result).render()
        rich.console.Console(file=io.StringIO()).print(table)
        _ = result["step"] == 20
    workdir.write_result({**_RESULT, "step": 30})


def _claim(folder: pathlib.Path) -> None:
    owner = Owner(str(folder), say=lambda line: None, renew=0.01, lease=0.02)
    try:
        owner.take()
    finally:
        owner.release()


def _published(folder: pathlib.Path) -> None:
    find_checkpoint(str(folder))


def _metrics() -> bytes:
    lines = [
        {"step": n, "time": 1.5 * n, "loss": 1.0 / n, "machine": {"device": "CPU"}}
        for n in range(1, 21)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2).encode()
