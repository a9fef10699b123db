"""Commands of sslkit in forks of a process that has imported TensorFlow.

Starting Python and TensorFlow takes ten seconds of a core, and a fork none. Forking is
safe because TensorFlow is imported but not started: no device is used and no thread
runs before a child does so.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from faults import moments


@dataclasses.dataclass(frozen=True)
class Kill:
    """When a process is killed."""

    moment: str
    """One of `moments.MOMENTS`."""
    count: int = 1
    """At which time that it comes to it."""
    seconds: float = 0.0
    """How long after that has begun."""
    whom: str = "all"
    """Of a recipe of several stages: `stage` alone, the `chain` alone, or `all`."""


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended."""

    killed: bool
    code: int
    """Its exit code; the signal, negative, if one ended it."""
    seconds: dict[str, list[float]]
    """Moment -> how long it took, each time."""


def prepare() -> None:
    """Imports what commands import, and refuses if forks would not be safe."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["SSLKIT_PROGRAMS"] = "off"
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    from sslkit.cli.startup import NEEDLESS, without

    with without(NEEDLESS):
        import keras  # noqa: F401
        import tensorflow  # noqa: F401
    import sklearn.linear_model  # noqa: F401

    import sslkit.cli.evaluate
    import sslkit.cli.export
    import sslkit.cli.train
    import sslkit.execution
    import sslkit.export.saved_model  # noqa: F401

    check_forkable()


def check_forkable() -> None:
    """Refuses if another thread runs: a fork would lose it."""
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(
            f"{threads} threads run in this process, so its forks may hang. Call it "
            "from a process that does nothing else, and set OPENBLAS_NUM_THREADS=1 "
            "and OMP_NUM_THREADS=1."
        )


def fork(call: Callable[[], int], output: pathlib.Path) -> int:
    """Calls something in a child; returns the child's number.

    Args:
        call: returns its exit code.
        output: its output is appended to this file.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        code = call()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Not `sys.exit`: the exit handlers of the parent must not run in the child.
        os._exit(code)


def run(
    words: Sequence[str],
    output: pathlib.Path,
    kill: Kill | None = None,
    *,
    limit: float = 600.0,
) -> Ended:
    """Runs a command of sslkit to its end, or until it is killed.

    Args:
        words: of the command line, after `sslkit`.
        output: its output is appended to this file.
        kill: when it is killed.
        limit: seconds after which it counts as hanging.

    Raises:
        TimeoutError: if it hangs.
    """
    reading, writing = os.pipe()

    def call() -> int:
        os.close(reading)
        os.setsid()
        moments.announce(writing)
        return _main(list(words), output)

    pid = fork(call, output)
    os.close(writing)
    try:
        killed, seconds = _watch(pid, reading, kill, limit)
    finally:
        os.close(reading)
    _, status = os.waitpid(pid, 0)
    return Ended(killed, os.waitstatus_to_exitcode(status), seconds)


def _main(words: list[str], output: pathlib.Path) -> int:
    from sslkit.cli import main, stages

    start = main.start_tensorflow

    def stage(command: Sequence[str]) -> int:
        """Runs a stage in a fork instead of a new process."""
        assert command[:4] == [sys.executable, "-P", "-m", "sslkit"]

        def call() -> int:
            main.start_tensorflow = start
            os.environ[stages.CHAIN] = str(os.getppid())
            return main.main(list(command[4:]))

        _, status = os.waitpid(fork(call, output), 0)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    stages._run = stage
    if _is_chain(words):
        # It forks, so it may not start anything.
        main.start_tensorflow = lambda **named: None
    return main.main(words)


def _is_chain(words: Sequence[str]) -> bool:
    from sslkit.config.stages import read_stages

    return words[0] == "train" and bool(
        read_stages([words[words.index("--gin") + 1]]).recipes
    )


def _watch(
    pid: int, pipe: int, kill: Kill | None, limit: float
) -> tuple[bool, dict[str, list[float]]]:
    """Waits for a child until its pipe is closed; kills it when it is due."""
    began: dict[str, float] = {}
    seconds: dict[str, list[float]] = {}
    counts: dict[str, int] = {}
    text, when, killed = "", None, False
    ends = time.monotonic() + limit
    while True:
        now = time.monotonic()
        if when is not None and now >= when:
            assert kill is not None
            _kill(pid, kill.whom)
            killed, when = True, None
        if now >= ends:
            os.killpg(pid, signal.SIGKILL)
            raise TimeoutError(f"it does not end within {limit:g} seconds")
        wait = min(ends, when if when is not None else ends) - now
        if not select.select([pipe], [], [], wait)[0]:
            continue
        piece = os.read(pipe, 65536).decode()
        if not piece:
            # The other end is closed: all its processes have ended.
            return killed, seconds
        text += piece
        *lines, text = text.split("\n")
        for line in lines:
            which, _, moment = line.partition(" ")
            now = time.monotonic()
            if which == "begin":
                began[moment] = now
                counts[moment] = counts.get(moment, 0) + 1
                met = kill is not None and not killed and kill.moment == moment
                if met and counts[moment] == kill.count:
                    when = now + kill.seconds
            elif moment in began:
                seconds.setdefault(moment, []).append(now - began.pop(moment))


def _kill(pid: int, whom: str) -> None:
    if whom == "stage":
        for child in _children(pid):
            os.kill(child, signal.SIGKILL)
    elif whom == "chain":
        os.kill(pid, signal.SIGKILL)
    else:
        os.killpg(pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()]


def ask(call: Callable[[], Any], folder: pathlib.Path) -> Any:
    """Calls something that uses TensorFlow in a child; returns what it returns."""
    answer, output = folder / "answer.json", folder / "asked.txt"
    answer.unlink(missing_ok=True)

    def calling() -> int:
        answer.write_text(json.dumps(call()))
        return 0

    os.waitpid(fork(calling, output), 0)
    if not answer.exists():
        raise RuntimeError(output.read_text())
    return json.loads(answer.read_text())
