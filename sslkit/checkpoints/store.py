"""The checkpoints of one run."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from sslkit import storage
from sslkit.checkpoints import files
from sslkit.checkpoints.background import Background
from sslkit.checkpoints.files import Damaged, Table
from sslkit.checkpoints.keeping import Keep, Saved
from sslkit.errors import UserError, first_line
from sslkit.storage import reaching

CHECKPOINTS = "checkpoints"
"""The folder in a run's workdir that has its checkpoints."""

_FILE = re.compile(r"(step_(\d+))\..+", re.ASCII)


class Checkpoints:
    """The checkpoints of one run; a rule says which are kept.

    Args:
        folder: their folder; made when the first is saved.
        keep: which are kept when another is saved.
        guard: called before anything is written or removed; raises if another process
            has taken over the folder. None if no other process can write there.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        folder: str,
        *,
        keep: Keep | int = 3,
        guard: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.time,
    ):
        """Keeps the options; see the class."""
        self._folder = folder
        self._keep = Keep(keep) if isinstance(keep, int) else keep
        self._guard = guard or (lambda: None)
        self._clock = clock
        self._background = Background()
        self._known: dict[str, Saved] = {}

    def prefixes(self) -> list[str]:
        """Returns the complete checkpoints, oldest first."""
        names = set(storage.names(self._folder))
        # An interrupted write or removal leaves files with other names, or an index
        # without its data.
        found = {
            int(match[2]): os.path.join(self._folder, match[1])
            for name in names
            if (match := _FILE.fullmatch(name))
            and {f"{match[1]}.index", f"{match[1]}{files.DATA}"} <= names
        }
        return [found[step] for step in sorted(found)]

    def latest(self) -> str | None:
        """Returns the newest complete checkpoint's prefix, or None."""
        prefixes = self.prefixes()
        return prefixes[-1] if prefixes else None

    def describe_latest(self) -> str:
        """Returns which checkpoint is newest, in words; waits for a write in progress.

        An error of that write is left for `check`: the message is about another
        problem.
        """
        self._background.join()
        latest = self.latest()
        return f"the last checkpoint is {latest}" if latest else "no checkpoint exists"

    def best(self) -> Saved | None:
        """Returns the best checkpoint, by the rule's measure; None if there is none.

        It waits for a write in progress.
        """
        self._background.join()
        return self._keep.best_of([self._saved(prefix) for prefix in self.prefixes()])

    def restore_latest(
        self, table: Table, *, say: Callable[[str], None], mend: bool = False
    ) -> str | None:
        """Sets a table from the newest checkpoint that is not damaged.

        Args:
            table: what is set.
            say: prints a line for the user about each damaged checkpoint.
            mend: whether damaged ones are renamed, so that they are ignored from then
                on.

        Returns:
            The checkpoint's prefix; None if there is none at all.

        Raises:
            UserError: if all are damaged, or one is of another model.
        """
        # If another process trains, it may remove a checkpoint that was just listed.
        seen: set[str] = set()
        while prefix := next(
            (one for one in reversed(self.prefixes()) if one not in seen), None
        ):
            seen.add(prefix)
            try:
                files.restore(table, prefix)
            except Damaged as error:
                if files.is_whole(prefix):
                    say(f"{prefix} is damaged and is skipped: {error.reason}")
                if mend:
                    self._guard()
                    files.set_aside(prefix)
            else:
                return prefix
        if seen:
            raise UserError(
                f"none of the {len(seen)} checkpoint(s) in {self._folder} can be read, "
                f"from {sorted(seen)[0]} to {sorted(seen)[-1]}. Start again in another "
                "--workdir, or put back a copy of one."
            )
        return None

    def save(
        self,
        table: Table,
        *,
        step: int,
        note: Mapping[str, Any] | None = None,
        measures: Mapping[str, float] | None = None,
    ) -> str:
        """Writes a checkpoint, and removes those that the rule does not keep.

        Args:
            table: what is saved.
            step: updates done.
            note: other data of this step, made of numbers, strings and mappings; it is
                saved and removed together with the checkpoint. See `read_note`.
            measures: the measures at this step: name -> number.

        Returns:
            Its prefix, `<folder>/step_<step>`.

        Raises:
            UserError: if it cannot be written; earlier checkpoints are untouched.
        """
        self.save_in_background(table, step=step, note=note, measures=measures)
        self.finish()
        return self._prefix(step)

    def save_in_background(
        self,
        table: Table,
        *,
        step: int,
        note: Mapping[str, Any] | None = None,
        measures: Mapping[str, float] | None = None,
    ) -> None:
        """Copies the values and returns; the copy is written in the background.

        If the checkpoint before is still being written, it waits for that, so there is
        one copy at most. The arguments are those of `save`.

        Raises:
            UserError: if the one before could not be written.
        """
        self._background.wait()
        values = {name: variable.numpy() for name, variable in table.items()}
        beside = files.Beside(
            note=dict(note or {}), time=self._clock(), measures=dict(measures or {})
        )
        self._background.start(lambda: self._write(values, self._prefix(step), beside))

    def check(self) -> None:
        """Raises the error of a write in the background; does not wait.

        Raises:
            UserError: if a checkpoint could not be written.
        """
        self._background.check()

    def finish(self) -> None:
        """Waits until all is written.

        Raises:
            UserError: if a checkpoint could not be written.
        """
        self._background.wait()

    def _prefix(self, step: int) -> str:
        return os.path.join(self._folder, f"step_{step:08d}")

    def _write(
        self, values: Mapping[str, Any], prefix: str, beside: files.Beside
    ) -> None:
        self._guard()
        try:
            tf.io.gfile.makedirs(self._folder)
            files.write_values(values, prefix, beside, before_moving=self._guard)
        except (tf.errors.OpError, OSError) as error:
            latest = self.latest()
            raise UserError(
                f"the checkpoint {prefix} cannot be written: {first_line(error)}. "
                + (f"The last good one is {latest}." if latest else "")
            ) from error
        self._known.pop(prefix, None)
        with reaching("an old checkpoint in", self._folder, verb="removed"):
            self._forget(prefix)

    def _forget(self, newest: str) -> None:
        """Removes what the rule does not keep, and what interrupted writes have
        left."""
        self._guard()
        prefixes = self.prefixes()
        saved = {prefix: self._saved(prefix) for prefix in prefixes}
        kept = self._keep.kept(list(saved.values()))
        stay = {prefix for prefix in prefixes if saved[prefix].step in kept} | {newest}
        for prefix in prefixes:
            if prefix not in stay:
                files.remove(prefix)
                self._known.pop(prefix, None)
        stay_names = {os.path.basename(prefix) for prefix in stay}
        for name in storage.names(self._folder):
            match = _FILE.fullmatch(name)
            half = match and match[1] not in stay_names and files.is_part(name)
            if half or storage.is_beside(name):
                tf.io.gfile.remove(os.path.join(self._folder, name))

    def _saved(self, prefix: str) -> Saved:
        """Returns the facts about a checkpoint; only its step if it is damaged."""
        if prefix not in self._known:
            try:
                beside = files.read_beside(prefix)
            except Damaged:
                beside = files.Beside()
            self._known[prefix] = Saved(
                files.step_of(prefix), beside.time, beside.measures
            )
        return self._known[prefix]


def find_checkpoint(path: str) -> str:
    """Returns the checkpoint prefix that a path means.

    Args:
        path: a run's workdir, which means its latest checkpoint; or a prefix such as
            `W/checkpoints/step_00001000`; or the prefix of a published checkpoint, such
            as `model.ckpt-1234`, or its folder.

    Raises:
        UserError: if there is no such checkpoint.
    """
    with reaching("the checkpoint", path):
        if tf.io.gfile.exists(f"{path}.index"):
            return path
        folder = os.path.join(path, CHECKPOINTS)
        prefix = Checkpoints(folder).latest() or _named_latest(path)
    if prefix is None:
        raise UserError(
            f"there is no checkpoint at {path}: neither {path}.index nor a run's "
            f"{CHECKPOINTS}/ folder in it. Name a workdir, or a prefix such as "
            f"W/{CHECKPOINTS}/step_00001000."
        )
    return prefix


def _named_latest(folder: str) -> str | None:
    """Returns the latest checkpoint according to TensorFlow's file `checkpoint`."""
    # `latest_checkpoint` would read the name of the folder as a pattern.
    try:
        state = tf.train.get_checkpoint_state(folder)
    except ValueError:  # It is damaged.
        state = None
    named = os.path.basename(state.model_checkpoint_path) if state else ""
    # In this folder, whatever path the file has: it may have been moved or copied.
    prefix = os.path.join(folder, named)
    return prefix if named and tf.io.gfile.exists(f"{prefix}.index") else None
