"""How a training run is compared with a published one.

At these learning rates, an update multiplies the error of the weights by up to twenty,
so a rounding difference in the first step becomes a difference in the second digit
after five. So the end of a float32 run shows little. Three comparisons together are
enough: our float64 run equals the published float64 run, number by number; every
float32 step that begins from the state of the float64 run ends near the state of that
run; and every published update, in float64 or float32, equals ours from the state
recorded before it.
"""

from __future__ import annotations

import numpy as np

# Relative to the largest entry. Both runs round with 1e-16, and ten updates increase
# that: 1e-12 was seen. Any difference in the mathematics, even a constant in float32,
# is 1e-8 and also increases.
EXACT = 1e-11
# Relative to the largest entry: our float64 update compared with a published float32
# update from the same float32 state. Four roundings; 2.0e-7 was seen, in a slot.
ROUNDED = 4 * 2.0**-24
# One float32 step, relative. The loss is a mean of logarithms of sums, and is precise:
# 4e-6 was seen. The gradient of 21 layers loses more, by normalisation over few images
# and by ReLUs near zero. The published float32 run can be compared at its first update,
# where it is off by 1e-2 of the update (ours by 7e-3); over ten steps from the states
# of the float64 run, 6e-3 to 2.1e-2 were seen.
LOSS = 1e-5
UPDATE = 5e-2


def check_exact(ours, recorded, what, *, within=EXACT):
    """Compares numbers of our float64 run with published ones."""
    recorded = np.asarray(recorded)
    error = np.abs(np.asarray(ours) - recorded).max()
    assert error <= within * np.abs(recorded).max(), f"{what}: off by {error}"


class Beside:
    """A float32 step compared with the float64 step from the same state.

    Args:
        exact: TrainState in float64, before a step.
        rounded: TrainState in float32; it is set to the values of the other.
    """

    def __init__(self, exact, rounded):
        self._exact, self._rounded = exact, rounded
        for name, variable in exact.table.items():
            target = rounded.table[name]
            target.assign(variable.numpy().astype(target.dtype))
        self._before = {name: v.numpy() for name, v in exact.trainable.items()}

    def check(self, exact, rounded):
        """Compares both after the step; gets the metrics of both."""
        np.testing.assert_allclose(rounded["loss"], exact["loss"], rtol=LOSS)
        np.testing.assert_allclose(
            rounded["learning_rate"], exact["learning_rate"], rtol=1e-6
        )
        moved = missed = 0.0
        for name, before in self._before.items():
            after = self._exact.table[name].numpy()
            other = self._rounded.table[name].numpy().astype("float64")
            moved += np.sum((after - before) ** 2)
            # Without the rounding of its initial state.
            start = before.astype("float32")
            missed += np.sum(((other - start) - (after - before)) ** 2)
        assert missed <= UPDATE**2 * moved, f"{(missed / moved) ** 0.5} of the update"
