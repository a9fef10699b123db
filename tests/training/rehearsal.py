"""A loop whose device, data and clock are functions in Python."""

from __future__ import annotations

import contextlib
import json
import math
import os

import numpy as np

from sslkit.api import RunInfo
from sslkit.checkpoints import Checkpoints, Keep
from sslkit.reporters import MetricsFile
from sslkit.training.actions import Action, Measure
from sslkit.training.duties import duties
from sslkit.training.guard import REFUSED, Bad
from sslkit.training.loop import Loop
from sslkit.training.numbers import NotFinite, Rewinds
from sslkit.training.reporting import Reporting
from sslkit.workdir import Workdir

ALL = Keep(100)


class NoPictures(Action):
    needs_state = False

    def to(self, report):
        return self

    def run(self, moment):
        pass


def info(workdir, start, stop):
    return RunInfo(
        workdir=workdir, start=start, steps=stop, config="", settings={}, facts={}
    )


EVERY = ("log", "checkpoint", "knn")


class Judge:
    """A guard whose device is a function in Python."""

    def why(self, values):
        known = {1: Bad("loss", ""), 2: Bad("gradient", "a/b"), 3: Bad("update", "c")}
        return {**known, -1: Bad("told", "")}.get(int(values[REFUSED]))


class Rehearsed:
    """A loop whose device is a function in Python."""

    def __init__(
        self,
        workdir,
        table,
        *,
        losses=None,
        norms=None,
        at=None,
        is_chief=True,
        keep=ALL,
        knn=lambda step: 0.5,
        on_nonfinite="stop",
        refused=None,
        **every,
    ):
        self.workdir = str(workdir)
        self.keep = keep
        self.knn = knn
        self.owner = None
        self.checkpoints = Checkpoints(
            os.path.join(workdir, "checkpoints"),
            keep=keep,
            guard=lambda: self.owner.confirm(),
        )
        self.calls, self.probed, self.asked = [], [], []
        self.table = table
        self.losses = losses or {}
        self.norms = norms or {}
        self.refused = refused or {}
        self.on_nonfinite = on_nonfinite
        self.rewinds, self.written, self.said = Rewinds(), {}, []
        self.at = at or {}
        self.made = 0
        every = {"log_every": 100, "checkpoint_every": 100, "knn_every": 100, **every}
        self.every = {key: every.pop(f"{key}_every") for key in EVERY}
        self.is_chief = is_chief
        self.actions = []
        self.loop = Loop(
            prepare=lambda: self.advance,
            metrics=("loss", "gradient_norm", REFUSED),
            actions=self.actions,
            problem=self.problem,
            service=None,
            checkpoints=self.checkpoints,
            views=8,
            **{"inner_steps": 1, **every},
            is_chief=is_chief,
        )

    def advance(self, inner):
        self.calls.append(inner)
        values = []
        for _ in range(inner):
            if self.made in self.at:
                self.at[self.made]()
            loss = self.losses.get(self.made, float(self.made))
            norm = self.norms.get(self.made, 1.0)
            found = 1 if not math.isfinite(loss) else 2 * (not math.isfinite(norm))
            values.append((loss, norm, self.refused.get(self.made, found)))
            self.made += 1
        self.table["step"].assign(self.made)
        return np.array(values, np.float32)

    def problem(self, first, last):
        self.asked.append((first, last))
        return "an example cannot be read: b.png"

    def probe(self):
        self.probed.append(self.made)
        return {"knn_top1": self.knn(self.made)}

    def record(self, step, known):
        self.written[step] = known
        return f"W/bad_step_{step}.json"

    def run(self, stop, start=0):
        self.made = start
        workdir = Workdir(self.workdir)
        with (
            workdir.alone() if self.is_chief else contextlib.nullcontext() as owner,
            duties(
                self.checkpoints,
                owner=owner,
                table=self.table,
                numbers=NotFinite(
                    self.on_nonfinite,
                    Judge(),
                    self.checkpoints,
                    rewinds=self.rewinds,
                    workdir="W",
                    record=self.record if self.is_chief else None,
                    say=self.said.append,
                ),
                report=Reporting(
                    [MetricsFile()],
                    info(self.workdir, start, stop),
                    say=self.said.append,
                ),
                pictures=NoPictures(),
                measures=[
                    Measure(self.probe, every=self.every["knn"], finds=["knn_top1"])
                ],
                keep=self.keep,
                log_every=self.every["log"],
                checkpoint_every=self.every["checkpoint"],
            ) as actions,
        ):
            self.owner = owner
            self.actions[:] = actions
            self.loop.run(start=start, stop=stop)

    @property
    def lines(self):
        path = os.path.join(self.workdir, "metrics.jsonl")
        with open(path) as file:
            return [json.loads(line) for line in file]

    @property
    def saved(self):
        return [int(p.rpartition("_")[2]) for p in self.checkpoints.prefixes()]


def failing(error, message="it broke"):
    def fail():
        raise error(None, None, message)

    return fail
