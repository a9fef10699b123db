"""A loss that jumps is reported once, and counted."""

from __future__ import annotations

import json
import math
import statistics

import pytest

from sslkit.training.actions import Moment
from sslkit.training.guard import REFUSED
from sslkit.training.spikes import Spikes


def losses(spikes=()):
    """A falling, noisy loss of 200 steps, with other values at some places."""
    found = [5 - n / 100 + 0.2 * math.sin(7 * n) for n in range(200)]
    for place, value in dict(spikes).items():
        found[place] = value
    return found


def see(values, *, first=0, said=None, pending=None, every=1000):
    said = [] if said is None else said
    action = Spikes(every=every, say=said.append, pending=pending)
    for place, value in enumerate(values, start=first + 1):
        action.see(place, {"loss": value, REFUSED: float(math.isnan(value))})
    return action, said


def counted(action):
    moment = Moment(200)
    action.run(moment)
    return moment.metrics


def test_a_spike_is_said_once_and_counted_by_its_steps():
    values = losses({120: 9.0, 121: 8.5, 122: 9.0, 170: 60.0})
    action, said = see(values)
    assert said == [
        f"step {place + 1}: the loss jumps to {values[place]:.4g}; the median of the "
        f"100 steps before is {statistics.median(values[place - 100 : place]):.4g}"
        for place in (120, 170)
    ]
    assert counted(action) == {"loss_spikes": 4.0}
    assert counted(action) == {}


def test_noise_the_beginning_and_nonfinite_losses_are_not_spikes():
    action, said = see(losses({10: 50.0, 130: math.nan, 140: 0.0}))
    assert said == []
    assert counted(action) == {}


def test_a_constant_loss_may_change_a_little():
    _, said = see([2.0] * 100 + [2.1, 2.3])
    assert said == [
        "step 102: the loss jumps to 2.3; the median of the 100 steps before is 2"
    ]


@pytest.mark.parametrize("cut", [30, 121, 160])
def test_a_run_that_was_stopped_says_the_same(cut):
    values = losses({120: 9.0, 121: 8.5, 170: 60.0})
    whole, wanted = see(values)
    first, said = see(values[:cut])
    note = json.loads(json.dumps(first.pending()))
    rest, _ = see(values[cut:], first=cut, said=said, pending=note)
    assert said == wanted
    assert counted(rest) == counted(whole)
    assert rest.pending() == whole.pending()
