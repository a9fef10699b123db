"""A batch in parts: the update is that of the whole."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import UserError
from sslkit.objectives.supervised import Supervised
from sslkit.testing.backbone import TinyBackbone
from sslkit.testing.comparison import differences
from sslkit.testing.short_run import BATCH, CLASSES, ShortRun
from sslkit.training.accumulating import describe_parts, in_parts, mean_of_parts

probe = functools.partial(Supervised, TinyBackbone, classes=CLASSES)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_each_row_is_in_one_part(parts):
    batch = {"rows": tf.range(8), "pairs": tf.reshape(tf.range(16), [8, 2])}
    seen = []

    def look(part):
        seen.append(part["rows"].numpy().tolist())
        assert part["pairs"][:, 0].numpy().tolist() == [2 * n for n in seen[-1]]
        rows = tf.cast(part["rows"], tf.float32)
        return {"first": rows[0], "mean": tf.reduce_mean(rows)}

    out = mean_of_parts(look, batch, parts)
    assert seen == [list(range(k, 8, parts)) for k in range(parts)]
    assert float(out["mean"]) == 3.5
    assert float(out["first"]) == np.mean(range(parts))


class Counted(Supervised):
    """Counts what happens."""

    def build(self, *shapes, **named):
        super().build(*shapes, **named)
        zero = {"shape": (), "initializer": "zeros", "trainable": False}
        self.calls = self.add_weight(name="calls", **zero)
        self.after = self.add_weight(name="after", **zero)

    def call(self, batch, *, step):
        self.calls.assign(self.calls + 1)
        return super().call(batch, step=step)

    def after_update(self, *, step):
        self.after.assign(self.after + 1)


def test_three_updates_in_parts_are_those_of_whole_batches():
    """With moving statistics, images do not depend on one another."""
    make = functools.partial(
        Counted, TinyBackbone, classes=CLASSES, fine_tune_after_block=4
    )
    whole = ShortRun(make).run(0, 3)
    # Four parts, so that all except the first are in a loop.
    made = ShortRun(make, accumulate=4).run(0, 3)
    np.testing.assert_allclose(made.losses, whole.losses, rtol=1e-12)
    assert (made.table["calls"], made.table["after"]) == (12, 3)
    assert (whole.table["calls"], whole.table["after"]) == (3, 3)
    assert made.table["step"] == 3
    for table in (made.table, whole.table):
        del table["calls"]
    assert not differences(made.table, whole.table, within=1e-12)
    for own, wanted in zip(made.metrics, whole.metrics, strict=True):
        assert own == pytest.approx(wanted, rel=1e-6)


def test_replicas_make_the_same_parts():
    """Statistics of a part are merged over replicas, and its images are the same."""
    alone = ShortRun(probe, accumulate=2).run(0, 3)
    together = ShortRun(probe, accumulate=2, replicas=2).run(0, 3)
    np.testing.assert_allclose(together.losses, alone.losses, rtol=1e-12)
    assert not differences(together.table, alone.table, within=1e-12)
    assert not together.unequal


@pytest.mark.slow
def test_xla_compiles_the_loop_over_parts():
    plain = ShortRun(probe, accumulate=4).run(0, 2)
    compiled = ShortRun(probe, accumulate=4, jit=True).run(0, 2)
    assert not differences(compiled.table, plain.table, within=1e-9)


def test_losses_that_parts_would_change_are_refused():
    class Contrast(Supervised):
        mean_over_examples = False

    make = functools.partial(Contrast, TinyBackbone, classes=CLASSES, name="mine")
    said = (
        "accumulate is 2, and the loss of objective mine compares images of a batch: "
        "in parts it would be the loss of batches of 4"
    )
    with pytest.raises(UserError, match=said):
        in_parts(make, 2, batch_size=BATCH, replicas=1)()
    assert in_parts(make, 1, batch_size=BATCH, replicas=1)().name == "mine"


def test_parts_are_equal():
    said = "accumulate is 3, which does not divide the 4 images of each replica; use 2 "
    with pytest.raises(UserError, match=said):
        in_parts(probe, 3, batch_size=BATCH, replicas=2)


def test_says_that_batch_normalisation_sees_one_part():
    assert describe_parts(1, 256) == ""
    assert describe_parts(4, 256) == (
        " in 4 parts of 64 images; batch normalisation sees one part"
    )
