"""Runs `sslkit.doctor.probe` with a time limit, and reads which steps it finished."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any, NamedTuple

from sslkit.keras_backend import TENSORFLOW, VARIABLE


class Step(NamedTuple):
    """A step of a probe that was started."""

    name: str
    error: str | None
    """The error it raised, or how the process ended in it; None if it succeeded."""
    seconds: float = 0.0
    found: Any = None
    fatal: bool = False
    """Whether the process ended in this step."""


def run_probe(
    what: str,
    *args: str,
    seconds: float,
    environment: Mapping[str, str] | None = None,
) -> list[Step]:
    """Runs a probe to its end or its limit.

    Args:
        what: the name of a function of `sslkit.doctor.probe`.
        *args: its arguments.
        seconds: the time limit; after it the process is killed.
        environment: the variables of the process; those of this process if None. The
            Keras backend is set as the `sslkit` command sets it.

    Returns:
        Its steps, in order.
    """
    variables = {**(os.environ if environment is None else environment)}
    variables |= {VARIABLE: TENSORFLOW, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryDirectory(prefix="sslkit-") as folder:
        notes = os.path.join(folder, "notes")
        # -P: files in the current folder must not be imported as modules.
        command = [
            sys.executable,
            "-P",
            "-m",
            "sslkit.doctor.probe",
            what,
            notes,
            *args,
        ]
        with open(os.path.join(folder, "errors"), "w+b") as errors:
            process = subprocess.Popen(
                command,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
            try:
                end = _ending(process.wait(seconds))
            except subprocess.TimeoutExpired:
                end = f"it does not end within {seconds:g} seconds"
            finally:
                # The processes that it started are killed, too.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            errors.seek(0)
            last = errors.read()[-4000:].decode(errors="replace").strip().splitlines()
        return _steps(notes, end, last[-1].strip() if last else "")


def _ending(code: int) -> str | None:
    if code == 0:
        return None
    if code > 0:
        return f"it ends the process with exit code {code}"
    name = signal.Signals(-code).name
    hint = (
        " (it needs instructions that this processor does not have)"
        if name == "SIGILL"
        else ""
    )
    return f"it crashes the process with {name}{hint}"


def _steps(path: str, end: str | None, last: str) -> list[Step]:
    try:
        with open(path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file if line.endswith("\n")]
    except OSError:
        lines = []
    found: list[Step] = []
    open_step: str | None = None
    for line in lines:
        if "error" in line:
            found.append(Step(line["step"], line["error"]))
        elif "seconds" in line:
            found.append(Step(line["step"], None, line["seconds"], line["found"]))
        else:
            open_step = line["step"]
            continue
        open_step = None
    if open_step is not None or end is not None:
        words = f" ({last[:200]})" if last else ""
        said = f"{end or 'it ends the process'}{words}"
        found.append(Step(open_step or "process", said, fatal=True))
    return found
