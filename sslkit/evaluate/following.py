"""Waits for the checkpoints of a run that another process trains."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from sslkit.checkpoints import Checkpoints, step_of


def follow(
    checkpoints: Checkpoints,
    *,
    last: int,
    done: Callable[[int], bool],
    wait: Callable[[], None],
) -> Iterator[str]:
    """Yields checkpoints as they appear, up to that of the last step.

    If there are several, the oldest comes first. A checkpoint that training removes
    before its turn is skipped: what is yielded exists at that time.

    Args:
        checkpoints: of the run.
        last: the step with which the run ends.
        done: whether a step has been handled already; it is called anew each time.
        wait: called when there is nothing new; returns when it is time to look again.

    Yields:
        The prefix of a checkpoint.
    """
    seen: set[int] = set()
    while last not in seen:
        for prefix in checkpoints.prefixes():
            step = step_of(prefix)
            if step not in seen:
                seen.add(step)
                if not done(step):
                    yield prefix
                    break
        else:
            if last not in seen:
                wait()


def pause(seconds: float) -> Callable[[], None]:
    """Returns a function that waits for some seconds."""
    return lambda: time.sleep(seconds)
