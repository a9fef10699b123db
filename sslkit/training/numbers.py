"""What a run does about a step that is not finite."""

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
"""Refused steps in a row after which the run stops: then the problem is not a single
batch."""
MOST_REWINDS = 3
"""The most times that a run goes back to the same checkpoint."""
_MOST_TOLD = 20
"""The most bad steps that one process reports singly and writes down."""

Record = Callable[[int, Mapping[str, Any]], str]
"""(step, what is known of it) -> the path of the file that it was written to."""


class Rewinds:
    """The steps for which this process went back to a checkpoint.

    Attributes:
        left_out: steps that are left out when the run comes to them again, as the
            number of updates done after them; `MOST_REWINDS` at most.
    """

    def __init__(self) -> None:
        """Starts with none."""
        self.left_out: list[int] = []
        self._to = ""

    def back_to(self, checkpoint: str, step: int) -> bool:
        """Counts a rewind; returns whether it is allowed for this checkpoint."""
        if checkpoint != self._to:
            self._to, self.left_out = checkpoint, []
        if len(self.left_out) == MOST_REWINDS:
            return False
        self.left_out.append(step)
        return True


class NotFinite(Action):
    """Handles steps that the guard has taken back: stops, goes on or rewinds.

    Args:
        on_nonfinite: what to do.
        guard: knows what was wrong with a step.
        checkpoints: those of the run.
        rewinds: counts the rewinds of this process.
        workdir: the run's folder, for messages.
        record: writes down what is known of a bad step; None if another process does
            it.
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
        """Returns what a resumed run needs: how many steps in a row were bad."""
        return {"refused_in_a_row": self._in_a_row} if self._in_a_row else {}

    def go_on(self, pending: Mapping[str, Any]) -> None:
        """Restores what `pending` returned when this run was last saved."""
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
                f"leaving steps out does not help{_advice(step)}{where}; {latest}."
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
            # JSON has no number for NaN and infinity.
            "metrics": {
                n: v if math.isfinite(v) else str(v) for n, v in numbers.items()
            },
            "on_nonfinite": self._on_nonfinite,
        }
        return (
            f"; {self._record(step, known)} has its examples and seeds; `sslkit replay "
            f"--workdir {self._workdir} --step {step}` looks for the first bad layer"
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
        # There was no update yet, so the learning rate is not the cause.
        return (
            ", before any update. Look in the objective for a logarithm, root or "
            "quotient of zero, and at the weights that the run starts from"
        )
    return (
        ". Lower the learning rate or raise the temperature, or look in the objective "
        "for a logarithm, root or quotient of zero"
    )
