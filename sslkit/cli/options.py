"""Options that several commands take, so that they are spelled alike."""

from __future__ import annotations

import argparse


def add_recipe_options(parser: argparse.ArgumentParser) -> None:
    """Adds --gin, --stage, --set and --data-dir, what `sslkit.config` reads."""
    parser.add_argument(
        "--gin",
        action="append",
        required=True,
        metavar="FILE",
        help="a recipe, e.g. gin/fnc_r50_pretrain.gin; repeat to add more",
    )
    parser.add_argument(
        "--stage", metavar="NAME", help="one stage of a recipe that has several"
    )
    _add_overrides(parser)


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
    _add_overrides(parser)


def _add_overrides(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="'NAME = VALUE'",
        help="bind one value after all recipes, e.g. 'train.epochs = 5'; repeatable",
    )
    parser.add_argument(
        "--data-dir",
        metavar="FOLDER",
        help="where datasets are; short for --set \"data.data_dir = 'FOLDER'\"",
    )
