"""A run's folder: its owner, and its files."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from sslkit.arguments import check_folder
from sslkit.checkpoints import CHECKPOINTS
from sslkit.errors import UserError
from sslkit.evaluation import numbers_of
from sslkit.ownership import Owner
from sslkit.secrets import hide
from sslkit.storage import reaching, replacing


class Workdir:
    """The folder of one run.

    `config.gin` has the resolved configuration; `data.json` the data and length with
    which the run was started; `checkpoints/` the states; `metrics.jsonl` and
    `tensorboard/` the curves; `facts.json` the latest software and devices;
    `result_<step>.json` the evaluation of a checkpoint, and `result.json` that of the
    latest evaluated one; `audit.json` the result of `sslkit audit`, and `audit_*.png`
    its pictures; `bad_step_<step>.json` what is known of a step that was not finite.
    """

    def __init__(self, path: str):
        """Keeps the path.

        Raises:
            UserError: if it is empty.
        """
        check_folder("the workdir", path)
        self.path = path
        self._config = os.path.join(path, "config.gin")
        self._result = os.path.join(path, "result.json")
        self._data = os.path.join(path, "data.json")

    @property
    def checkpoints(self) -> str:
        """Folder of the checkpoints."""
        return os.path.join(self.path, CHECKPOINTS)

    def is_claimed(self) -> bool:
        """Returns whether it is the folder of a run."""
        return self._exists(self._config)

    def config(self) -> str:
        """Returns the path of the resolved configuration.

        Raises:
            UserError: if this is not a run's folder.
        """
        if not self.is_claimed():
            raise UserError(
                f"{self.path} is not a workdir of a run: it has no config.gin. Make "
                f"one with: sslkit train --gin RECIPE --workdir {self.path}"
            )
        return self._config

    def read_config(self) -> str:
        """Returns the resolved configuration.

        Raises:
            UserError: if this is not a run's folder.
        """
        text = self._text(self.config())
        if text is None:
            raise UserError(
                f"{self._config} is damaged: it is not text. Put back a copy; another "
                "run of the same recipe has the same file, except for paths."
            )
        return text

    def write_config(self, resolved: str) -> None:
        """Writes the resolved configuration; makes the folder.

        Raises:
            UserError: if it cannot be written.
        """
        with reaching("the workdir", self.path, verb="written"):
            tf.io.gfile.makedirs(self.path)
        self._write(self._config, resolved)

    @contextlib.contextmanager
    def alone(self, say: Callable[[str], None] = print) -> Iterator[Owner]:
        """Keeps other processes from training in the folder at the same time.

        Args:
            say: prints a line for the user.

        Yields:
            The claim, which knows whether another process has taken over the folder.

        Raises:
            UserError: naming the other owner, if there is one.
        """
        with reaching("the workdir", self.path, verb="written"):
            tf.io.gfile.makedirs(self.path)
        owner = Owner(self.path, say=say)
        owner.take()
        try:
            yield owner
        finally:
            owner.release()

    def data(self) -> Mapping[str, Any] | None:
        """Returns the data and length with which the run was started; None before."""
        if not self._exists(self._data):
            return None
        record = self._read(self._data)
        if (
            record is None
            or not isinstance(record.get("train"), Mapping)
            or not isinstance(record.get("test", {}), Mapping)
            or not _is_count(record.get("steps"))
        ):
            raise UserError(
                f"{self._data} is damaged. Remove it if the data has not changed since "
                "the run was started."
            )
        return record

    def write_data(self, record: Mapping[str, Any]) -> None:
        """Writes the data and length with which the run is started; makes the folder.

        Raises:
            UserError: if it cannot be written.
        """
        with reaching("the workdir", self.path, verb="written"):
            tf.io.gfile.makedirs(self.path)
        self._write(self._data, hide(json.dumps(record, indent=2)) + "\n")

    def write_facts(self, facts: Mapping[str, str]) -> None:
        """Writes the run's environment: versions, devices, the commit of the code.

        Raises:
            UserError: if it cannot be written.
        """
        path = os.path.join(self.path, "facts.json")
        self._write(path, hide(json.dumps(dict(facts), indent=2)) + "\n")

    def result(self, step: int | None = None) -> Mapping[str, Any] | None:
        """Returns the evaluation of a step, or the latest; None before there is one."""
        path = self._result if step is None else self._result_of(step)
        if not self._exists(path):
            return None
        result = self._read(path)
        if result is None or not _is_result(result):
            raise UserError(
                f"{path} is damaged. Remove it, and `sslkit evaluate --workdir "
                f"{self.path}` writes it again."
            )
        return result

    def write_result(self, result: Mapping[str, Any]) -> str:
        """Writes the evaluation of `result["step"]`.

        It is also written as the latest, unless that is of a later step.

        Returns:
            The path of the file; that of the latest if it is the latest.
        """
        text = json.dumps(result, indent=2) + "\n"
        path = self._result_of(result["step"])
        self._write(path, text)
        latest = self.result()
        if latest is not None and latest["step"] > result["step"]:
            return path
        self._write(self._result, text)
        return self._result

    def write_transfer(self, result: Mapping[str, Any], *, data: str) -> str:
        """Writes the evaluation of `result["step"]` on other data than the run's.

        Args:
            result: the evaluation.
            data: the data's name; in the file's name, characters other than letters,
                digits, dashes and dots are replaced by underscores.

        Returns:
            The path.
        """
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", data).strip("_")
        path = os.path.join(self.path, f"result_{result['step']}_{name}.json")
        self._write(path, json.dumps({"data": data, **result}, indent=2) + "\n")
        return path

    def write_audit(self, found: Mapping[str, Any]) -> str:
        """Writes an audit of detected false negatives; see docs/compare.md.

        Returns:
            The path, `audit.json`.

        Raises:
            UserError: if it cannot be written.
        """
        path = os.path.join(self.path, "audit.json")
        self._write(path, json.dumps(found, indent=1, allow_nan=False) + "\n")
        return path

    def write_bad_step(self, step: int, known: Mapping[str, Any]) -> str:
        """Writes what is known of a step that is not finite.

        Returns:
            The path, `bad_step_<step>.json`.

        Raises:
            UserError: if it cannot be written.
        """
        path = os.path.join(self.path, f"bad_step_{step}.json")
        self._write(path, json.dumps(known, indent=1, allow_nan=False) + "\n")
        return path

    def _result_of(self, step: int) -> str:
        return os.path.join(self.path, f"result_{step}.json")

    def _exists(self, path: str) -> bool:
        with self._reading():
            return tf.io.gfile.exists(path)

    def _read(self, path: str) -> dict[str, Any] | None:
        """Returns the JSON object in a file; None if it has something else."""
        try:
            found = json.loads(self._text(path) or "")
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def _text(self, path: str) -> str | None:
        """Returns the contents of a file; None if they are not text."""
        with self._reading(), tf.io.gfile.GFile(path, "rb") as file:
            data = file.read()
        try:
            return data.decode()
        except UnicodeDecodeError:
            return None

    def _reading(self) -> contextlib.AbstractContextManager[None]:
        return reaching("the workdir", self.path)

    def _write(self, path: str, text: str) -> None:
        with (
            reaching("the workdir", self.path, verb="written"),
            replacing(path) as beside,
            tf.io.gfile.GFile(beside, "w") as file,
        ):
            file.write(text)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_result(found: Mapping[str, Any]) -> bool:
    """Returns whether this has the parts of an evaluation that other modules read."""
    rows = found.get("rows")
    return (
        _is_count(found.get("step"))
        and isinstance(rows, list)
        and all(isinstance(row, Mapping) and _is_row(row) for row in rows)
    )


def _is_row(row: Mapping[str, Any]) -> bool:
    names = ("protocol", "representation")
    if not all(isinstance(row.get(name), str) for name in names):
        return False
    try:
        return bool(numbers_of(row))
    except (TypeError, OverflowError):
        return False
