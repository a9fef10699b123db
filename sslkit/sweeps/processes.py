"""Running commands as processes, a few at the same time, and stopping them together."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from sslkit.errors import first_line

_TAIL = 64 * 1024
"""Bytes at the end of a log in which its last line is looked for."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A command to run."""

    name: str
    """Its name in messages."""
    command: Sequence[str]
    log: str
    """The file that its output is appended to."""


@dataclasses.dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    job: Job
    code: int
    """Its exit code, as in a shell: 128 + number if a signal ended it."""
    seconds: float
    last_line: str
    """The last line that it wrote, or why it could not be run; empty if it wrote none.
    """


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How commands ended."""

    ended: tuple[Ended, ...]
    """In the order in which they ended."""
    signal: signal.Signals | None
    """The signal that stopped them; None if all were run."""


def run_jobs(
    jobs: Iterable[Job],
    *,
    at_once: int,
    variables: Mapping[str, str],
    started: Callable[[Job], None],
    ended: Callable[[Ended], None],
    stopping: Callable[[int], None],
) -> Outcome:
    """Runs all commands, even if some of them fail.

    Each Ctrl-C or termination signal is passed on to the commands that are running, and
    no other is started. Call it in the main thread of the process.

    Args:
        jobs: the commands, in the order to start them.
        at_once: how many run at the same time, 1 or more.
        variables: added to their environment.
        started: called with each command that starts.
        ended: called with each command that has ended.
        stopping: called after a signal, with the number of commands still running.
    """
    return asyncio.run(
        _Runner(dict(variables), started, ended, stopping).run(list(jobs), at_once)
    )


class _Runner:
    def __init__(
        self,
        variables: dict[str, str],
        started: Callable[[Job], None],
        ended: Callable[[Ended], None],
        stopping: Callable[[int], None],
    ) -> None:
        self._variables = variables
        self._started = started
        self._told = ended
        self._stopping = stopping
        self._running: list[asyncio.subprocess.Process] = []
        self._ended: list[Ended] = []
        self._signal: signal.Signals | None = None

    async def run(self, jobs: Sequence[Job], at_once: int) -> Outcome:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._pass_on, number)
        waiting = iter(jobs)
        # `at_once` tasks, each of which takes the next command when one has ended.
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(at_once, len(jobs))):
                    group.create_task(self._take(waiting))
        except BaseExceptionGroup as errors:  # E.g. standard output was closed.
            for process in self._running:
                process.terminate()
            raise errors.exceptions[0] from errors
        return Outcome(tuple(self._ended), self._signal)

    async def _take(self, waiting: Iterable[Job]) -> None:
        for job in waiting:
            if self._signal is not None:
                return
            await self._one(job)

    async def _one(self, job: Job) -> None:
        begun = time.monotonic()
        try:
            with open(job.log, "ab") as log:
                process = await asyncio.create_subprocess_exec(
                    *job.command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=asyncio.subprocess.STDOUT,
                    # In a session of its own: otherwise a Ctrl-C would reach it twice,
                    # from the terminal and from here.
                    start_new_session=True,
                    env={**os.environ, **self._variables},
                )
        except OSError as error:
            self._end(Ended(job, 126, 0.0, f"cannot be run: {first_line(error)}"))
            return
        self._running.append(process)
        if self._signal is not None:  # It arrived while the process was started.
            process.send_signal(self._signal)
        self._started(job)
        code = await process.wait()
        self._running.remove(process)
        code = code if code >= 0 else 128 - code
        self._end(Ended(job, code, time.monotonic() - begun, _last_line(job.log)))

    def _end(self, found: Ended) -> None:
        self._ended.append(found)
        self._told(found)

    def _pass_on(self, number: signal.Signals) -> None:
        self._signal = number
        for process in self._running:
            # One that ended a moment ago is waited for already.
            if process.returncode is None:
                process.send_signal(number)
        self._stopping(len(self._running))


def _last_line(log: str) -> str:
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.path.getsize(log) - _TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
