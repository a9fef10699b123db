"""Opening a finished or interrupted run again, from what its workdir keeps."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sslkit.config import Config
    from sslkit.train.run import Training
    from sslkit.train.workdir import Workdir


def reopen(args: argparse.Namespace) -> tuple[Config, Training, Workdir]:
    """Loads the configuration of `--workdir`, on one device.

    Evaluation and export need no more than one, whatever the run was trained on; the
    checkpoint does not depend on it. `--set` comes after and may say otherwise.
    """
    from sslkit import config
    from sslkit.train.workdir import Workdir

    workdir = Workdir(args.workdir)
    loaded = config.load(
        [workdir.config()],
        ["train.runner = @runners.single()", *args.set],
        data_dir=args.data_dir,
    )
    return loaded, loaded.train(), workdir
