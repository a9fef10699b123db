"""Finds the command, runs it, and turns its errors into one line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import keyword
import os
import sys
import types
from collections.abc import Sequence

import sslkit
from sslkit import programs
from sslkit.cli.allocator import keep_freed_memory
from sslkit.cli.old_names import report_old_names
from sslkit.cli.startup import start_tensorflow
from sslkit.errors import Lost, Stopped, UserError
from sslkit.keras_backend import TENSORFLOW, VARIABLE
from sslkit.secrets import hide

# Name -> one line of help. Each is a module of sslkit.cli with `add_arguments(parser)`
# and `run(args) -> int`, and it may have `check(args)`, which runs before TensorFlow is
# imported; only the one that is called gets imported.
COMMANDS = {
    "train": "run a recipe: pretraining, fine-tuning or linear evaluation",
    "sweep": "train a recipe once for each of several values, e.g. seeds",
    "evaluate": "measure a trained encoder: nearest neighbours, linear probe, top-k",
    "compare": "show how the settings of runs differ, and whether their results do",
    "audit": "check by labels whether the false negatives that a run found are right",
    "export": "write a trained encoder in a format that other programs load",
    "embed": "write the features of a dataset's images to a file",
    "report": "write one page about what runs have learned: curves, accuracies, images",
    "neighbours": "draw images beside those that the encoder finds most similar",
    "import": "turn published TensorFlow 1 weights into a checkpoint to start from",
    "status": "show the progress of runs: step, rate, time left, metrics, health",
    "doctor": "find what is broken: versions, devices, disks, plugins",
    "replay": "repeat one step of a run, to see where its numbers stop being finite",
    "plan": "estimate what a recipe costs: memory, work, hours on several devices",
    "views": "draw the views that a recipe's augmentation makes of the data",
    "data-service": "make training batches for runs in other processes or machines",
    "bench": "measure whether the host or the model limits the speed of training",
    "plugins": "list the installed plugins; --check imports and verifies each",
    "new": "create a project for a new plugin: code, recipe, tests",
    "recipes": "list the recipes with a line about each, or verify that they work",
    "config": "show all values that a recipe and its overrides set, without running it",
}

NEED_TENSORFLOW = (
    "train",
    "evaluate",
    "export",
    "embed",
    "report",
    "audit",
    "neighbours",
    "import",
    "replay",
    "plan",
    "views",
    "data-service",
    "bench",
)
"""Commands that import TensorFlow; the others must start without it."""


RESTART = 75
"""The exit code of a run that a scheduler should start again: EX_TEMPFAIL."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the `sslkit` command.

    Args:
        argv: arguments after the program's name; `sys.argv[1:]` by default.

    Returns:
        The exit code: 0, what the command returns; 1, an unexpected error; 2, an error
        the user can mend; 75, a run that the same command goes on with; 130,
        interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    # TensorFlow's start-up messages would hide the one line that matters. It reads this
    # variable once, when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if "--debug" in argv else "3")
    before = dict(os.environ)
    # The process is the command's own: the Keras backend of other programs does not
    # matter.
    os.environ[VARIABLE] = TENSORFLOW
    debug = "--debug" in argv
    try:
        with report_old_names():
            arguments = _parse(argv)
            arguments.before = before  # for `sslkit doctor`, which checks it
            # Mistakes that are cheap to find are found before TensorFlow is imported.
            arguments.check_options(arguments)
            if arguments.command in NEED_TENSORFLOW:
                keep_freed_memory()
                programs.start()
                start_tensorflow(quiet=not debug)
            return arguments.run(arguments)
    except UserError as error:
        if debug:
            raise
        return _fail(f"error: {error}", RESTART if isinstance(error, Lost) else 2)
    except Stopped as stopped:
        _fail(f"{stopped}; the same command goes on from there", RESTART)
        return _at_once(RESTART)
    except KeyboardInterrupt:
        if debug:
            raise
        return _fail("interrupted", 130)
    except BrokenPipeError:
        # The program that reads the output, such as `head`, has closed it. Without
        # this, Python would report the same error again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debug:
            raise
        # Imported here: no other path of this module needs it.
        from sslkit.plugins import describe

        hint = "run again with --debug for the traceback"
        return _fail(f"unexpected {hide(describe(error))}; {hint}", 1)


def _parse(argv: list[str]) -> argparse.Namespace:
    chosen = next((word for word in argv if not word.startswith("-")), None)
    if chosen is not None and chosen not in COMMANDS:
        from sslkit.errors import did_you_mean

        raise UserError(
            f"no command is called '{chosen}'. {did_you_mean(chosen, COMMANDS)}"
            f"Commands: {', '.join(COMMANDS)}."
        )
    parser = argparse.ArgumentParser(
        prog="sslkit",
        description="Contrastive self-supervised learning on TensorFlow.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=sslkit.__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            allow_abbrev=False,
        )
        command.add_argument(
            "--debug", action="store_true", help="show the traceback of an error"
        )
        if name == chosen:
            module = module_of(name)
            module.add_arguments(command)
            check = getattr(module, "check", _nothing)
            command.set_defaults(run=module.run, check_options=check, command=name)
    return parser.parse_args(argv)


def module_of(command: str) -> types.ModuleType:
    """Imports the module of a command."""
    # A module cannot be called `import`, which is a keyword of Python.
    word = keyword.iskeyword(command)
    file = f"{command}_" if word else command.replace("-", "_")
    return importlib.import_module(f"sslkit.cli.{file}")


def _nothing(args: argparse.Namespace) -> None:
    """Checks nothing, for a command without a `check` of its own."""


def _at_once(code: int) -> int:
    """Ends the process if a checkpoint is still being written; else returns the code.

    A checkpoint that is only partly written is not used; the next complete one
    removes it.
    """
    background = sys.modules.get("sslkit.checkpoints.background")
    if background is not None and background.busy():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _fail(line: str, code: int) -> int:
    print(f"sslkit: {line}", file=sys.stderr)
    return code
