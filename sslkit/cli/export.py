"""`sslkit export`: a trained encoder for others to load."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from sslkit.cli.options import add_run_options, check_target, check_workdir

if TYPE_CHECKING:
    from sslkit.training.run import Training

FORMATS = ("saved_model", "keras", "onnx", "tf1")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_run_options(parser)
    parser.add_argument(
        "--to",
        required=True,
        metavar="PATH",
        help="a folder for a SavedModel; a file for keras and onnx; a prefix such as "
        "D/model.ckpt-1000 for tf1",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="saved_model",
        help="saved_model loads in plain TensorFlow; keras in plain Keras (resnets); "
        "onnx needs the extra sslkit[onnx]; tf1 is the published TensorFlow 1 layout "
        "(default: saved_model)",
    )
    parser.add_argument(
        "--head",
        default="head_contrastive_instance",
        metavar="SCOPE",
        help="scope of the projection head in a tf1 checkpoint; SimCLR's is "
        "head_contrastive",
    )


def check(args: argparse.Namespace) -> None:
    """Looks at the workdir and at where the output goes."""
    check_workdir(args.workdir)
    check_target(args.to)


def run(args: argparse.Namespace) -> int:
    """Exports a run's latest checkpoint and a model card; prints how to load it."""
    from sslkit.export.card import model_card
    from sslkit.runs import reopen
    from sslkit.storage import on_disk

    target = on_disk(args.to)
    _, training, workdir = reopen(args.workdir, args.set, data_dir=args.data_dir)
    step = training.load(workdir)
    write, card = _WRITERS[args.format]
    lines = write(training, args)
    encoder = training.objective.encoder
    card_path = card(target)
    card_path.write_text(
        model_card(
            objective=training.objective.name,
            encoder=f"{encoder.describe()}; {encoder.count_params():,} numbers",
            feature_dim=encoder.feature_dim,
            size=training.size,
            step=step,
            steps=training.steps,
            config=workdir.read_config(),
            result=workdir.result(),
            load=lines,
        )
    )
    print(f"step {step} of {workdir.path} is exported to {args.to}. To load it:\n")
    print(lines)
    print(f"\nmodel card: {card_path}")
    return 0


def _saved_model(training: Training, args: argparse.Namespace) -> str:
    from sslkit.export.saved_model import export

    return export(training.objective, args.to, size=training.size)


def _keras(training: Training, args: argparse.Namespace) -> str:
    from sslkit.export.keras_model import save_keras

    return save_keras(training.objective.encoder, args.to, size=training.size)


def _onnx(training: Training, args: argparse.Namespace) -> str:
    from sslkit.export.onnx import save_onnx

    return save_onnx(training.objective.encoder, args.to, size=training.size)


def _tf1(training: Training, args: argparse.Namespace) -> str:
    from sslkit.published.exporting import write_published

    pathlib.Path(args.to).parent.mkdir(parents=True, exist_ok=True)
    write_published(training.state.table, args.to, head=args.head)
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
        Callable[[Training, argparse.Namespace], str],
        Callable[[pathlib.Path], pathlib.Path],
    ],
] = {
    "saved_model": (_saved_model, _inside),
    "keras": (_keras, _beside),
    "onnx": (_onnx, _beside),
    "tf1": (_tf1, _beside),
}
