"""One process of a run of two, on this machine.

Usage: python worker.py INDEX ADDRESS,ADDRESS FOLDER
"""

from __future__ import annotations

import functools
import json
import pathlib
import sys

import numpy as np

from sslkit.api import UserError
from sslkit.optimize.momentum import Momentum
from sslkit.optimize.schedules import Constant
from sslkit.runners.multiworker import MultiWorker
from sslkit.testing import TinyBackbone, train_on
from sslkit.testing.toy import NoisyViews, Pictures
from sslkit.training.run import Training
from sslkit.workdir import Workdir


class PicturesAsData:
    """Data with one split in memory."""

    connection = None

    def source(self, part):
        return Pictures()

    def opened(self, part):
        return Pictures() if part == "train" else None

    def skipped(self):
        return []


def training(make, runner, *, steps):
    objective = functools.partial(make, TinyBackbone)
    return Training(
        objective=objective,
        augmentation=NoisyViews(objective().requires),
        data=PicturesAsData(),
        optimizer=Momentum(),
        schedule=Constant(base=0.05),
        runner=runner,
        batch_size=8,
        steps=steps,
        checkpoint_every=2,
        log_every=1,
    )


def main(place, workers, folder):
    runner = MultiWorker(
        workers=workers, index=place, communication="ring", wait_seconds=60
    )
    # Before anything else runs in TensorFlow.
    assert runner.strategy.num_replicas_in_sync == len(workers)
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    from toy_objectives import MAKERS

    run = train_on(runner, MAKERS["fnc"])
    np.savez(folder / f"fnc-{place}.npz", losses=run.losses, **run.table)

    # Files of the second process would be in a separate folder.
    own = Workdir(str(folder / ("run" if place == 0 else "other")))
    training(MAKERS["simclr"], runner, steps=4).run(own)
    # All processes go on from what the chief has written.
    resumed = training(MAKERS["simclr"], runner, steps=6)
    resumed.run(Workdir(str(folder / "run")), extend=True)
    table = {name: v.numpy() for name, v in resumed.state.table.items()}
    np.savez(folder / f"resumed-{place}.npz", **table)

    try:
        training(MAKERS["simclr"], runner, steps=8).run(own, extend=True)
        said = "nothing"
    except UserError as error:
        said = str(error)
    report = {"chief": runner.is_chief, "said": said}
    (folder / f"report-{place}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2].split(","), pathlib.Path(sys.argv[3]))
