"""A run's folder: whose it is, and what is in it."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from sslkit.api import UserError
from sslkit.config import difference
from sslkit.storage import reaching
from sslkit.train.initialize import CHECKPOINTS

FREE = (
    "train.runner",
    "runners.*",
    "data.data_dir",
    "data.cache",
    "data.cache_dir",
    "data.service",
    "train.keep",
    "train.log_every",
    "train.checkpoint_every",
    "train.knn_every",
    "train.inner_steps",
    "evaluate.*",
)
"""Bindings that a resumed run may change: they do not change what it computes."""


class Workdir:
    """The folder of one run.

    `config.gin` is the resolved configuration, `checkpoints/` the states,
    `metrics.jsonl` and `tensorboard/` the curves, `result_<step>.json` the evaluation
    of a checkpoint and `result.json` that of the latest that was evaluated.
    """

    def __init__(self, path: str):
        """Keeps the options; see the class."""
        self.path = path
        self._config = os.path.join(path, "config.gin")
        self._result = os.path.join(path, "result.json")

    @property
    def checkpoints(self) -> str:
        """Folder of the checkpoints."""
        return os.path.join(self.path, CHECKPOINTS)

    def config(self) -> str:
        """Returns the path of the resolved configuration.

        Raises:
            UserError: if this is no run's folder.
        """
        if not self._exists(self._config):
            raise UserError(
                f"{self.path} is no workdir of a run: it has no config.gin. "
                "Make one with: sslkit train --gin RECIPE --workdir "
                f"{self.path}"
            )
        return self._config

    def read_config(self) -> str:
        """Returns the resolved configuration.

        Raises:
            UserError: if this is no run's folder.
        """
        path = self.config()
        with self._reading(), tf.io.gfile.GFile(path) as file:
            return file.read()

    def claim(self, resolved: str, *, write: bool = True) -> None:
        """Makes this the folder of a configuration.

        Args:
            resolved: the configuration as gin text.
            write: whether this process writes it; of several, one does.

        Raises:
            UserError: if it belongs to a run that computes something else, or cannot
                be written.
        """
        if self._exists(self._config):
            changes = difference(self.read_config(), resolved, ignore=FREE)
            if changes:
                shown = "; ".join(changes[:5]) + ("; …" if len(changes) > 5 else "")
                raise UserError(
                    f"{self.path} belongs to another run ({shown}). Choose another "
                    "--workdir, or start from its weights with "
                    f"--set 'train.initialize = \"{self.path}\"'."
                )
        if not write:
            return
        with reaching("the workdir", self.path, verb="written"):
            tf.io.gfile.makedirs(self.path)
        self._write(self._config, resolved)

    def result(self, step: int | None = None) -> Mapping[str, Any] | None:
        """Returns the evaluation of a step, or the latest; None before there is one."""
        path = self._result if step is None else self._result_of(step)
        if not self._exists(path):
            return None
        with self._reading(), tf.io.gfile.GFile(path) as file:
            return json.loads(file.read())

    def write_result(self, result: Mapping[str, Any]) -> str:
        """Writes the evaluation of `result["step"]`.

        It becomes the latest too, unless that is of a later step.

        Returns:
            The path of what was written, the latest if it is that.
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
            data: the data's name; in the file's name, what is no letter, digit, dash
                or dot is an underscore.

        Returns:
            The path.
        """
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", data).strip("_")
        path = os.path.join(self.path, f"result_{result['step']}_{name}.json")
        self._write(path, json.dumps({"data": data, **result}, indent=2) + "\n")
        return path

    def _result_of(self, step: int) -> str:
        return os.path.join(self.path, f"result_{step}.json")

    def _exists(self, path: str) -> bool:
        with self._reading():
            return tf.io.gfile.exists(path)

    def _reading(self) -> contextlib.AbstractContextManager[None]:
        return reaching("the workdir", self.path)

    def _write(self, path: str, text: str) -> None:
        partial = f"{path}.partial"
        with reaching("the workdir", self.path, verb="written"):
            with tf.io.gfile.GFile(partial, "w") as file:
                file.write(text)
            tf.io.gfile.rename(partial, path, overwrite=True)
