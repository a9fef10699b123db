"""`sslkit export`: a trained encoder in a format that other programs load."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from sslkit.cli.options import add_run_options, check_target, check_workdir
from sslkit.errors import UserError

if TYPE_CHECKING:
    from sslkit.runs import Trained

FORMATS = ("saved_model", "keras", "onnx", "tf1")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_run_options(parser)
    parser.add_argument(
        "--to",
        required=True,
        metavar="PATH",
        help="where to write: a folder for saved_model, a file for keras and onnx, a "
        "prefix such as D/model.ckpt-1000 for tf1",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="saved_model",
        help="saved_model loads in TensorFlow without sslkit; keras loads in Keras "
        "without sslkit (ResNets only); onnx needs tf2onnx; tf1 is the layout of the "
        "published TensorFlow 1 checkpoints (default: saved_model)",
    )
    parser.add_argument(
        "--head",
        default="head_contrastive_instance",
        metavar="SCOPE",
        help="with tf1: the scope of the projection head; SimCLR's is head_contrastive "
        "(default: head_contrastive_instance)",
    )


def check(args: argparse.Namespace) -> None:
    """Checks the workdir and the place to write to."""
    check_workdir(args.workdir)
    check_target(args.to)


def run(args: argparse.Namespace) -> int:
    """Exports a run's latest checkpoint and a model card; prints how to load it."""
    from sslkit.export.card import model_card
    from sslkit.runs import open_trained
    from sslkit.storage import on_disk, reaching, replacing

    target = on_disk(args.to)
    trained = open_trained(args.workdir, args.set, data_dir=args.data_dir)
    write, card, sign = _WRITERS[args.format]
    there = pathlib.Path(f"{target}{sign}").exists()
    lines = write(trained, args)
    encoder = trained.objective.encoder
    card_path = card(target)
    text = model_card(
        objective=trained.objective.name,
        encoder=f"{encoder.describe()}; {encoder.count_params():,} numbers",
        feature_dim=encoder.feature_dim,
        size=trained.size,
        step=trained.step,
        steps=trained.steps,
        config=trained.config,
        result=trained.result,
        load=lines,
        trained_in=trained.precision,
        computes_in=_computes_in(trained, args),
    )
    with (
        reaching("the model card", str(card_path), verb="written"),
        replacing(card_path) as beside,
    ):
        pathlib.Path(beside).write_text(text)
    place = f"{args.to}, in place of an earlier export" if there else args.to
    print(
        f"step {trained.step} of {args.workdir} is exported to {place}. To load it:\n"
    )
    print(lines)
    print(f"\nmodel card: {card_path}")
    return 0


def _computes_in(trained: Trained, args: argparse.Namespace) -> str:
    """Returns the precision that the export computes in; `--set` may change it."""
    if args.format in ("keras", "tf1"):
        return "float32"
    return str(trained.objective.encoder.compute_dtype)


def _saved_model(trained: Trained, args: argparse.Namespace) -> str:
    from sslkit.export.saved_model import export

    return export(trained.objective, args.to, size=trained.size)


def _keras(trained: Trained, args: argparse.Namespace) -> str:
    from sslkit.export.keras_model import save_keras

    return save_keras(trained.objective.encoder, args.to, size=trained.size)


def _onnx(trained: Trained, args: argparse.Namespace) -> str:
    from sslkit.export.onnx import save_onnx

    return save_onnx(trained.objective.encoder, args.to, size=trained.size)


def _tf1(trained: Trained, args: argparse.Namespace) -> str:
    from sslkit.published.exporting import write_published

    pathlib.Path(args.to).parent.mkdir(parents=True, exist_ok=True)
    if trained.table is None:
        raise UserError(
            f"{args.workdir} is an import of published weights, which are in the tf1 "
            "layout already. Use the checkpoint that was imported."
        )
    write_published(trained.table, args.to, head=args.head)
    return (
        "import tensorflow as tf\n"
        f"checkpoint = tf.train.load_checkpoint({args.to!r})\n"
        'kernel = checkpoint.get_tensor("base_model/conv2d/kernel")'
    )


def _inside(path: pathlib.Path) -> pathlib.Path:
    return path / "README.md"


def _beside(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f"{path.name}.README.md")


_WRITERS: dict[
    str,
    tuple[
        Callable[[Trained, argparse.Namespace], str],
        Callable[[pathlib.Path], pathlib.Path],
        str,
    ],
] = {
    "saved_model": (_saved_model, _inside, "/saved_model.pb"),
    "keras": (_keras, _beside, ""),
    "onnx": (_onnx, _beside, ""),
    "tf1": (_tf1, _beside, ".index"),
}
"""Format -> the function that writes it, the path of its model card, and what to add to
the path to get a file that exists if there is an earlier export."""
