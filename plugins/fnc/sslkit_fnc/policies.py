"""The detection policies that a recipe names."""

from __future__ import annotations

from typing import Literal

from sslkit.errors import UserError
from sslkit_fnc.course import Shape
from sslkit_fnc.detection import Detection, Oracle, Quantile, TopKThreshold
from sslkit_fnc.glofnd import LearnedThreshold

Policy = Literal["topk", "quantile", "glofnd", "oracle"]


def detection_policy(
    name: Policy,
    *,
    topk: int | None,
    final_topk: int | None,
    threshold: float | None,
    final_threshold: float | None,
    schedule: Shape,
    quantile: float,
    threshold_rate: float,
) -> Detection:
    """Makes the policy that a recipe names.

    Args:
        name: the policy.
        topk: see `TopKThreshold`.
        final_topk: its value at the end of the run; None for the same throughout.
        threshold: see `TopKThreshold`.
        final_threshold: its value at the end of the run, likewise.
        schedule: how both change from the first value to the last.
        quantile: see `Quantile` and `LearnedThreshold`.
        threshold_rate: see `LearnedThreshold`.

    Raises:
        UserError: for final values of options that the policy does not have.
    """
    finals = {"final_topk": final_topk, "final_threshold": final_threshold}
    if name != "topk":
        given = [option for option, value in finals.items() if value is not None]
        if given:
            raise UserError(
                f"fnc: {given[0]} is for detection = 'topk', and detection is "
                f"'{name}'. Leave it out."
            )
    if name == "topk":
        return TopKThreshold(
            topk=topk,
            threshold=threshold,
            final_topk=final_topk,
            final_threshold=final_threshold,
            schedule=schedule,
        )
    if name == "quantile":
        return Quantile(quantile=quantile)
    if name == "glofnd":
        return LearnedThreshold(quantile=quantile, rate=threshold_rate)
    return Oracle()
