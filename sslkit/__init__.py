"""Contrastive self-supervised learning on TensorFlow, built from plugins.

Importing `sslkit` is cheap: TensorFlow loads with `sslkit.api`, which holds all
that a plugin author needs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sslkit.export.encoder import Encoder

__all__ = ["load_encoder"]

__version__ = "0.1.0"


def load_encoder(path: str | os.PathLike[str]) -> Encoder:
    """Loads a trained encoder: a callable from images to features.

    Args:
        path: a run's workdir, an export of `sslkit export`, or a checkpoint of the
            published TensorFlow 1 code such as `model.ckpt-1234`.

    Raises:
        UserError: if there is nothing that holds an encoder.
    """
    from sslkit import runs

    return runs.load_encoder(path)
