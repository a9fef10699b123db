"""How a training run is compared with a published one.

An update at these learning rates multiplies the error of the weights by up to twenty:
what differs by rounding in the first step differs in the second digit after five. So
where a float32 run ends says little. Three things together say all: our float64 run is
the published float64 run, number by number; every float32 step, begun where the float64
run stands, ends near where that step ends; and every published update, in float64 or
float32, is ours where ours begins from the state that was recorded before it.
"""

from __future__ import annotations

import numpy as np

# Of the largest entry. Both runs round to 1e-16 of themselves, and ten updates let
# that grow: 1e-12 was seen. Any difference in the mathematics, were it a constant kept
# in float32, is 1e-8 and grows, too.
EXACT = 1e-11
# Of the largest entry: our float64 update beside a published float32 one, from the same
# float32 state. Four roundings; 2.0e-7 was seen, in a slot.
ROUNDED = 4 * 2.0**-24
# One float32 step, relative. The loss is a mean of logarithms of sums, and has its
# digits: 4e-6 was seen. The gradient of 21 layers loses more, to normalisation over
# few images and to ReLUs near zero. Where the published float32 run can be compared,
# at its first update, it is off by 1e-2 of the update (ours by 7e-3); over ten steps
# from the float64 run's states, 6e-3 to 2.1e-2 were seen.
LOSS = 1e-5
UPDATE = 5e-2


def check_exact(ours, recorded, what, *, within=EXACT):
    """Compares numbers of a float64 run of ours with published ones."""
    recorded = np.asarray(recorded)
    error = np.abs(np.asarray(ours) - recorded).max()
    assert error <= within * np.abs(recorded).max(), f"{what}: off by {error}"


class Beside:
    """A float32 step beside the float64 step from the same state.

    Args:
        exact: TrainState in float64, about to make a step.
        rounded: TrainState in float32; takes over the other's values.
    """

    def __init__(self, exact, rounded):
        self._exact, self._rounded = exact, rounded
        for name, variable in exact.table.items():
            target = rounded.table[name]
            target.assign(variable.numpy().astype(target.dtype))
        self._before = {name: v.numpy() for name, v in exact.trainable.items()}

    def check(self, exact, rounded):
        """Compares what both have become; takes the metrics of both steps."""
        np.testing.assert_allclose(rounded["loss"], exact["loss"], rtol=LOSS)
        np.testing.assert_allclose(
            rounded["learning_rate"], exact["learning_rate"], rtol=1e-6
        )
        moved = missed = 0.0
        for name, before in self._before.items():
            after = self._exact.table[name].numpy()
            other = self._rounded.table[name].numpy().astype("float64")
            moved += np.sum((after - before) ** 2)
            # Less the rounding of the state that it began from.
            start = before.astype("float32")
            missed += np.sum(((other - start) - (after - before)) ** 2)
        assert missed <= UPDATE**2 * moved, f"{(missed / moved) ** 0.5} of the update"
