"""Recipes of several stages on the command line: one stage, or all in turn."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

from sslkit import config
from sslkit.errors import Lost, Stopped, UserError
from sslkit.training.interrupt import stopping

CHAIN = "SSLKIT_CHAIN"
"""Environment variable of a run that `sslkit train` started for a stage, or `sslkit
sweep`: the process id of that command."""

_PR_SET_PDEATHSIG = 1  # of Linux's prctl.h


def read_all(args: argparse.Namespace, *, workdir: str) -> dict[str, config.Resolution]:
    """Reads what --gin, --stage, --set and --data-dir name.

    Args:
        args: the arguments of a command that has the options of a recipe.
        workdir: the folder of the run, or of all stages.

    Returns:
        As `config.read_each`.

    Raises:
        UserError: as `config.read_each`.
    """
    return config.read_each(
        args.gin, args.set, stage=args.stage, data_dir=args.data_dir, workdir=workdir
    )


def read_one(args: argparse.Namespace, *, workdir: str = "W") -> config.Resolution:
    """Reads the one recipe or stage that a command is for.

    Raises:
        UserError: as `read_all`; and if there are several stages and none is chosen.
    """
    found = read_all(args, workdir=workdir)
    if len(found) > 1:
        raise UserError(
            f"{', '.join(args.gin)} has several stages. Choose one with --stage: "
            f"{', '.join(found)}."
        )
    (resolution,) = found.values()
    return resolution


def check_recipe(
    args: argparse.Namespace, read: Callable[..., object] = read_all
) -> None:
    """Reads a command's recipe, to refuse mistakes before TensorFlow is imported.

    Args:
        args: the arguments of a command that has the options of a recipe.
        read: `read_all` or `read_one`.
    """
    # A recipe in a bucket can only be read with TensorFlow.
    if not any("://" in name for name in args.gin):
        read(args, workdir="W")


def run_each(args: argparse.Namespace, stages: Mapping[str, config.Resolution]) -> int:
    """Runs `sslkit train` for each stage in a process of its own, until one fails.

    A process sets its devices up only once, and with a process of its own a stage also
    has the memory to itself. A signal is passed on to the stage that is running, which
    saves its state first.

    Returns:
        The exit code of the last stage that ran.

    Raises:
        Stopped: after a signal that arrived between two stages, or when a stage had
            finished already.
    """
    with stopping():
        return _run_each(args, stages)


def end_with_chain() -> None:
    """Makes a stage's or a sweep's run end when the command that started it is killed.

    Otherwise the run would continue alone, and the same command, started again, would
    find the run's folder in use. What the run has saved is kept, as if the run itself
    had been killed. This works on Linux only; elsewhere the run continues. A run that
    was started by itself is not affected.

    Raises:
        Lost: if that command has ended already.
    """
    chain = os.environ.pop(CHAIN, "")
    if not chain or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != int(chain):
        raise Lost("the process that started this run is gone. Start it again.")


def _run_each(args: argparse.Namespace, stages: Mapping[str, config.Resolution]) -> int:
    for place, (name, resolution) in enumerate(stages.items(), start=1):
        folder = config.stage_workdir(args.workdir, name)
        print(
            f"stage {name}, {place} of {len(stages)}: {', '.join(resolution.recipes)} "
            f"in {folder}",
            flush=True,
        )
        code = _run(_command(args, name))
        if code:
            print(
                f"sslkit: stage {name} ended with exit code {code}; the same command "
                "goes on from there",
                file=sys.stderr,
            )
            return code
    print(f"all stages are finished: {', '.join(stages)}")
    return 0


def _command(args: argparse.Namespace, stage: str) -> list[str]:
    # -P: files in the current folder must not be imported as modules.
    command = [sys.executable, "-P", "-m", "sslkit", "train", "--stage", stage]
    for option, values in (("--gin", args.gin), ("--set", args.set)):
        for value in values:
            command += [option, value]
    command += ["--workdir", args.workdir, "--mode", args.mode]
    if args.data_dir is not None:
        command += ["--data-dir", args.data_dir]
    for option in ("extend", "debug"):
        command += [f"--{option}"] if getattr(args, option) else []
    return command


def _run(command: Sequence[str]) -> int:
    """Runs a command, passes signals on to it, and returns its exit code.

    Raises:
        Stopped: after a signal that arrived when the command had finished already.
    """
    running: list[subprocess.Popen[bytes]] = []
    came: list[int] = []
    early: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        del frame
        came.append(number)
        if running:
            running[0].send_signal(number)
        else:
            early.append(number)

    before = {
        number: signal.signal(number, pass_on)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        # In a session of its own: otherwise a Ctrl-C would reach it twice, from the
        # terminal and from here.
        variables = {**os.environ, CHAIN: str(os.getpid())}
        running.append(subprocess.Popen(command, start_new_session=True, env=variables))
        # Once each: a second signal would stop it before it has saved.
        for number in early:
            running[0].send_signal(number)
        code = running[0].wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came and code == 0:
        raise Stopped(f"stopped by {signal.Signals(came[0]).name} between two stages")
    # The exit code that a shell gives for a process that was ended by a signal.
    return code if code >= 0 else 128 - code
