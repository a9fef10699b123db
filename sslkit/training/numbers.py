"""What a run does about a step that is not made of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

from sslkit.checkpoints import Checkpoints, step_of
from sslkit.errors import Rewound, UserError
from sslkit.training.actions import Action, Moment
from sslkit.training.guard import Bad, Guard

OnNonFinite = Literal["stop", "skip", "rewind"]
"""`stop` ends the run; `skip` goes on without the step; `rewind` goes back to the last
checkpoint and leaves the step out when it comes to it again."""

MOST_IN_A_ROW = 10
"""Steps in a row that come to nothing, before the run stops: what is wrong then is not
one batch."""
MOST_REWINDS = 3
"""Times that a run goes back to one checkpoint."""
_MOST_TOLD = 20
"""Steps that are told of one by one, and written down, by one process."""

Record = Callable[[int, Mapping[str, Any]], str]
"""(step, what is known of it) -> the path of the file that it was written to."""


class Rewinds:
    """Which steps a run has gone back for, in this process.

    Attributes:
        left_out: steps that are not done when the run comes to them again, as updates
            done after them; `MOST_REWINDS` at most.
    """

    def __init__(self) -> None:
        """Starts with none."""
        self.left_out: list[int] = []
        self._to = ""

    def back_to(self, checkpoint: str, step: int) -> bool:
        """Counts a rewind; returns whether there may be one more to this checkpoint."""
        if checkpoint != self._to:
            self._to, self.left_out = checkpoint, []
        if len(self.left_out) == MOST_REWINDS:
            return False
        self.left_out.append(step)
        return True


class NotFinite(Action):
    """Hears of each step that the guard has taken back, and stops, goes on, or rewinds.

    Args:
        on_nonfinite: what to do.
        guard: says what was wrong.
        checkpoints: names the last good one.
        rewinds: counts, for as long as the process lives.
        workdir: the run's folder, for messages.
        record: writes down what is known of a bad step; None where another process
            does.
        say: prints a line for the user.
    """

    needs_state = False

    def __init__(
        self,
        on_nonfinite: OnNonFinite,
        guard: Guard,
        checkpoints: Checkpoints,
        *,
        rewinds: Rewinds,
        workdir: str,
        record: Record | None,
        say: Callable[[str], None],
    ):
        """Keeps the options; see the class."""
        self._on_nonfinite = on_nonfinite
        self._guard = guard
        self._checkpoints = checkpoints
        self._rewinds = rewinds
        self._workdir = workdir
        self._record = record
        self._say = say
        self._told = 0
        self._in_a_row = 0

    def pending(self) -> dict[str, Any]:
        """Returns what a run that goes on has to know: how many were bad in a row."""
        return {"refused_in_a_row": self._in_a_row} if self._in_a_row else {}

    def go_on(self, pending: Mapping[str, Any]) -> None:
        """Takes what `pending` returned when the run was saved that goes on now."""
        self._in_a_row = pending.get("refused_in_a_row", 0)

    def see(self, step: int, values: Mapping[str, float]) -> None:
        """Implements `Action.see`.

        Raises:
            UserError: if the run stops.
            Rewound: if it goes back.
        """
        bad = self._guard.why(values)
        self._in_a_row = 0 if bad is None else self._in_a_row + 1
        if bad is not None and bad.part != "told":
            self._meet(step, bad, values)

    def run(self, moment: Moment) -> None:
        """Implements `Action.run`; there is nothing left to do."""

    def _meet(self, step: int, bad: Bad, values: Mapping[str, float]) -> None:
        what = _words(step, bad, values)
        hopeless = self._in_a_row >= MOST_IN_A_ROW
        if self._on_nonfinite == "skip" and not hopeless:
            self._skip(step, bad, values, what)
            return
        where = self._written(step, bad, values)
        latest = self._checkpoints.describe_latest()
        if self._on_nonfinite != "stop" and hopeless:
            raise UserError(
                f"{what}, and the {self._in_a_row - 1} steps before it were left out: "
                f"leaving steps out does not mend this run{_advice(step)}{where}; "
                f"{latest}."
            )
        if self._on_nonfinite == "rewind":
            last = self._checkpoints.latest()
            if last is not None and self._rewinds.back_to(last, step):
                raise Rewound(
                    f"{what}{where}. Going back to step {step_of(last)}; step {step} "
                    f"is left out ({len(self._rewinds.left_out)} of {MOST_REWINDS} "
                    "times for this checkpoint)"
                )
            why = (
                "there is nothing to go back to"
                if last is None
                else f"the run has gone back {MOST_REWINDS} times to where it is"
            )
            raise UserError(f"{what}, and {why}{_advice(step)}{where}; {latest}.")
        raise UserError(f"{what}{_advice(step)}{where}; {latest}.")

    def _skip(
        self, step: int, bad: Bad, values: Mapping[str, float], what: str
    ) -> None:
        if self._told >= _MOST_TOLD:
            return
        self._told += 1
        where = self._written(step, bad, values)
        if self._told == _MOST_TOLD:
            where += ". Further ones are only counted, as refused_steps"
        self._say(f"{what}: the step is left out{where}")

    def _written(self, step: int, bad: Bad, values: Mapping[str, float]) -> str:
        """Writes down what is known of a step; returns words about it."""
        if self._record is None:
            return ""
        numbers = {name: float(value) for name, value in values.items()}
        known = {
            "step": step,
            "first": str(bad),
            "part": bad.part,
            "path": bad.path,
            # JSON has no word for what is not finite.
            "metrics": {
                n: v if math.isfinite(v) else str(v) for n, v in numbers.items()
            },
            "on_nonfinite": self._on_nonfinite,
        }
        return (
            f"; {self._record(step, known)} has its examples and seeds, and `sslkit "
            f"replay --workdir {self._workdir} --step {step}` looks for where it began"
        )


def _words(step: int, bad: Bad, values: Mapping[str, float]) -> str:
    if bad.part == "loss":
        others = [
            name
            for name, value in values.items()
            if name not in ("loss", "gradient_norm") and not math.isfinite(value)
        ]
        also = f" ({', '.join(others)} not finite either)" if others else ""
        return f"the loss is {values['loss']} at step {step}{also}"
    if bad.part == "gradient":
        return (
            f"the gradient norm is {values['gradient_norm']} at step {step}, first "
            f"in {bad}"
        )
    return f"{bad} is not finite at step {step}, though its gradient is"


def _advice(step: int) -> str:
    if step == 1:
        # Nothing has moved yet, so no learning rate is to blame.
        return (
            ", before any update. Look in the objective for a logarithm, root or "
            "quotient of zero, and at the weights that the run starts from"
        )
    return (
        ". Lower the learning rate or raise the temperature, or look in the objective "
        "for a logarithm, root or quotient of zero"
    )
