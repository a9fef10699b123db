"""`sslkit status`: the progress of runs, one line per run."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator

from sslkit.arguments import check_folder
from sslkit.cli.startup import start_tensorflow
from sslkit.secrets import hide
from sslkit.status import RunStatus, find_runs, read_status


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "workdirs",
        nargs="+",
        metavar="W",
        help="the folder of a run, or of several, such as the stages of a recipe",
    )


def check(args: argparse.Namespace) -> None:
    """Refuses paths that are empty or hold a password."""
    for folder in args.workdirs:
        check_folder("the workdir", folder)


def run(args: argparse.Namespace) -> int:
    """Prints a table; returns 1 if a folder is not a run's or is damaged."""
    if any("://" in folder for folder in args.workdirs):
        # Buckets are read with TensorFlow, which prints messages as it starts.
        start_tensorflow()
    found = [read_status(run) for folder in args.workdirs for run in _runs(folder)]
    _show(found)
    return 0 if all(one.ok for one in found) else 1


def _runs(folder: str) -> list[str]:
    from sslkit.errors import UserError

    try:
        return find_runs(folder)
    except UserError:
        return [folder]  # `read_status` says what is wrong with it.


def _show(found: Iterable[RunStatus]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from sslkit.cli.output import show

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("run", "state"):
        table.add_column(name)
    for name in ("step", "steps/s", "left", "seen"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("last metrics")
    table.add_column("health")
    for one in found:
        table.add_row(*(Text(cell) for cell in _cells(one)))
    show(table)


def _cells(one: RunStatus) -> Iterator[str]:
    from sslkit.training.progress import duration

    yield hide(one.path)
    yield hide(one.state)
    if one.steps is None:
        yield f"{one.step}" if one.step else ""
    else:
        yield f"{one.step}/{one.steps}"
    yield "" if one.rate is None else f"{one.rate:.3g}"
    yield "" if one.left is None else duration(round(max(0, one.left)))
    yield "" if one.seen is None else f"{duration(round(max(0, one.seen)))} ago"
    yield "  ".join(_metrics(one))
    yield "; ".join(one.health)


def _metrics(one: RunStatus) -> Iterator[str]:
    shown = {
        "loss": "loss {:.4f}",
        "learning_rate": "lr {:.3g}",
        "knn_top1": "kNN {:.1%}",
    }
    for name, form in shown.items():
        value = one.metrics.get(name)
        if value is not None:
            yield form.format(value)
    speed = one.machine.get("views_per_second")
    if isinstance(speed, int | float):
        yield f"{speed:,.0f} views/s"
