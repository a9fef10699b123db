"""Options whose names have changed, and a note about each old name that is used."""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from sslkit import deprecation


@contextlib.contextmanager
def report_old_names() -> Iterator[None]:
    """Prints a line about each old name that is used meanwhile, once."""
    told: set[str] = set()

    def show(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
        if not issubclass(category, deprecation.Renamed):
            before(message, category, *where, **more)
        elif str(message) not in told:
            told.add(str(message))
            print(f"sslkit: note: {message}", file=sys.stderr, flush=True)

    with warnings.catch_warnings():
        before = warnings.showwarning
        warnings.simplefilter("always", deprecation.Renamed)
        warnings.showwarning = show
        yield


def add_renamed_option(
    parser: argparse.ArgumentParser,
    name: str,
    *,
    old: str,
    gone_in: str,
    **settings: Any,
) -> None:
    """Adds an option that is also taken by its old name, with a warning.

    Args:
        parser: the command's parser.
        name: e.g. `--to`.
        old: e.g. `--out`.
        gone_in: the version that no longer knows the old name.
        **settings: the arguments of `add_argument`.
    """

    class Renamed(argparse.Action):
        def __call__(
            self,
            parser: argparse.ArgumentParser,
            namespace: argparse.Namespace,
            values: Any,
            option_string: str | None = None,
        ) -> None:
            if option_string == old:
                deprecation.warn(old, name, gone_in=gone_in)
            setattr(namespace, self.dest, values)

    parser.add_argument(name, old, action=Renamed, **settings)
