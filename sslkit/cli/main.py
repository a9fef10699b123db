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
from sslkit.cli.old_names import names_told
from sslkit.cli.startup import start_tensorflow
from sslkit.errors import Lost, Stopped, UserError
from sslkit.keras_backend import TENSORFLOW, VARIABLE
from sslkit.secrets import hide

# Name -> one line of help. Each is a module of sslkit.cli with `add_arguments(parser)`
# and `run(args) -> int`, and it may have `check(args)`, which runs before TensorFlow is
# imported; only the one that is called gets imported.
COMMANDS = {
    "train": "train as a recipe says: pretrain, fine-tune or linear evaluation",
    "sweep": "train a recipe with each of some values: seeds, options",
    "evaluate": "measure a trained encoder: nearest neighbours, linear, top-k",
    "compare": "show in what runs differ, and whether their results do",
    "audit": "show whether the false negatives that a run found are false negatives",
    "export": "write a trained encoder for others to load",
    "embed": "write the features of a dataset to a file",
    "report": "write what runs have learned as one page: curves, accuracies, images",
    "neighbours": "draw images with those that the encoder finds most like them",
    "import": "turn published TensorFlow 1 weights into a checkpoint to start from",
    "status": "show how runs go: step, rate, time left, metrics, whether they live",
    "doctor": "look for what is broken: versions, devices, disks, plugins",
    "replay": "do one step of a run again, to see where its numbers go bad",
    "plan": "count what a recipe takes, and its hours on several devices",
    "views": "draw what a recipe's augmentation does to the data",
    "data-service": "make training batches for runs of other processes or machines",
    "bench": "measure whether the host or the model sets the pace",
    "plugins": "list the installed plugins; --check imports and verifies each",
    "new": "begin a plugin as a project of its own: code, recipe, tests",
    "recipes": "list the recipes, each with the first line of its comment; verify them",
    "config": "show what a recipe and its overrides come to, without running it",
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
    # TensorFlow's start-up notes hide the one line that matters. It reads this once,
    # when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if "--debug" in argv else "3")
    before = dict(os.environ)
    # The process is the command's own: what Keras runs on elsewhere does not matter.
    os.environ[VARIABLE] = TENSORFLOW
    debug = "--debug" in argv
    try:
        with names_told():
            arguments = _parse(argv)
            arguments.before = before  # the environment, for those who judge it
            # What is cheap to find wrong is found before TensorFlow is imported.
            arguments.look(arguments)
            if arguments.command in NEED_TENSORFLOW:
                keep_freed_memory()
                programs.start()
                start_tensorflow(hush=not debug)
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
        # The reader, such as `head`, has seen enough. Python would complain once more
        # when it flushes at exit.
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
            look = getattr(module, "check", _nothing)
            command.set_defaults(run=module.run, look=look, command=name)
    return parser.parse_args(argv)


def module_of(command: str) -> types.ModuleType:
    """Imports the module of a command."""
    # A module cannot be called `import`; the word is Python's own.
    word = keyword.iskeyword(command)
    file = f"{command}_" if word else command.replace("-", "_")
    return importlib.import_module(f"sslkit.cli.{file}")


def _nothing(args: argparse.Namespace) -> None:
    """Is the check of a command that has none."""


def _at_once(code: int) -> int:
    """Ends the process if a checkpoint is still being written; else returns the code.

    What was being written is no checkpoint yet, and the next one that is removes it.
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
