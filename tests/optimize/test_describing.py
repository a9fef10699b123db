"""The description of a schedule before a run."""

from __future__ import annotations

import pytest
import tensorflow as tf

from sslkit.api import Schedule
from sslkit.optimize.schedules import Constant, WarmupCosine

RUN = {"steps": 31279, "batch_size": 4096, "examples": 1281167}


class Halving(Schedule):
    def rate(self, step, *, steps, batch_size, examples):
        return 1 / (1 + tf.cast(step, tf.float32))


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (
            WarmupCosine(base=0.1, scaling="sqrt", warmup_epochs=10),
            "6.4 (0.1 x sqrt(4096)) after 3,127 step(s) of warm-up, then a cosine to 0",
        ),
        (
            WarmupCosine(base=0.3, scaling="linear"),
            "4.8 (0.3 x 4096 / 256), then a cosine to 0",
        ),
        (
            WarmupCosine(base=0.1, scaling="none", warmup_epochs=200),
            "0.1 would be reached after 62,556 step(s) of warm-up; the run ends before",
        ),
        (Constant(base=0.5), "0.5 throughout"),
        (Halving(), "1 at first, 6.394e-05 halfway, 3.197e-05 at last"),
    ],
)
def test_says_the_scaled_rate(schedule, text):
    assert schedule.describe(**RUN) == text


def test_the_description_is_the_computed_rate():
    schedule = WarmupCosine(base=0.1, scaling="sqrt", warmup_epochs=10)
    rates = [
        float(schedule.rate(tf.constant(step), **RUN)) for step in (3126, 3127, 3300)
    ]
    assert rates[1] == pytest.approx(6.4)
    assert rates[1] > max(rates[0], rates[2])
