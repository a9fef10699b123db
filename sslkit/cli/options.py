"""Options that several commands share, so that all of them spell them the same."""

from __future__ import annotations

import argparse
import os

from sslkit.arguments import check_folder
from sslkit.errors import UserError


def add_recipe_options(parser: argparse.ArgumentParser) -> None:
    """Adds --gin, --stage, --set and --data-dir, which `sslkit.config` reads."""
    parser.add_argument(
        "--gin",
        action="append",
        required=True,
        metavar="FILE",
        help="a recipe, e.g. gin/fnc_r50_pretrain.gin; may be repeated, and later "
        "files override earlier ones",
    )
    parser.add_argument(
        "--stage",
        metavar="NAME",
        help="take only this stage of a recipe that has several",
    )
    add_overrides(parser)


def add_workdir_option(parser: argparse.ArgumentParser, *, holds: str) -> None:
    """Adds --workdir.

    Args:
        parser: the command's parser.
        holds: what the command reads or writes there, for the help.
    """
    parser.add_argument("--workdir", required=True, metavar="FOLDER", help=holds)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Adds --workdir, --set and --data-dir, to open a run again."""
    add_workdir_option(parser, holds="the run's folder, as given to `sslkit train`")
    add_overrides(parser)


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Adds --set and --data-dir."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="'NAME = VALUE'",
        help="set one value in place of the recipe's, e.g. 'train.epochs = 5'; may be "
        "repeated",
    )
    parser.add_argument(
        "--data-dir",
        metavar="FOLDER",
        help="the folder of the datasets; short for --set \"data.data_dir = 'FOLDER'\"",
    )


def check_workdir(path: str) -> None:
    """Refuses a folder on a disk that cannot be a run's, without reading any file.

    Raises:
        UserError: if it does not exist, or holds neither a run nor a checkpoint.
    """
    check_folder("--workdir", path)
    if "://" in path:
        return
    there = os.listdir(path) if os.path.isdir(path) else []
    if not any(
        name in ("config.gin", "checkpoints", "checkpoint") or name.endswith(".index")
        for name in there
    ):
        raise UserError(
            f"{path} is not a workdir of a run: it has no config.gin. Make one with: "
            f"sslkit train --gin RECIPE --workdir {path}"
        )


def check_target(path: str, option: str = "--to") -> None:
    """Refuses a place on a disk where nothing can be written.

    Args:
        path: the value of the option.
        option: its name.

    Raises:
        UserError: if a file is where a folder must be, or if writing is not permitted.
    """
    if "://" in path:
        return
    above = os.path.dirname(os.path.abspath(path))
    while not os.path.exists(above):
        above = os.path.dirname(above)
    if not os.path.isdir(above):
        raise UserError(f"{option} {path} cannot be written: {above} is a file.")
    if not os.access(above, os.W_OK):
        raise UserError(
            f"{option} {path} cannot be written: you may not write to {above}."
        )


def check_target_file(path: str, option: str = "--to") -> None:
    """Refuses a place on a disk where no file can be written.

    Args:
        path: the value of the option.
        option: its name.

    Raises:
        UserError: as `check_target`; and if the path is a folder.
    """
    check_target(path, option)
    if "://" not in path and os.path.isdir(path):
        raise UserError(f"{option} {path} cannot be written: it is a folder.")
