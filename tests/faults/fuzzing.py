"""Wrong inputs of several kinds, and whether each is handled.

A target makes its inputs from random numbers and tries one: it is read, or skipped and
named, or refused in one line. Anything else is a `Finding`.
"""

from __future__ import annotations

import abc
import contextlib
import random
import signal
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import ClassVar

from sslkit.errors import UserError

READ, SKIPPED, REFUSED = "read", "skipped", "refused"


class Finding(Exception):
    """An input that was not handled."""


class Hang(BaseException):
    """An input took too long; no `except Exception` catches it."""


class Target(abc.ABC):
    """One kind of input.

    Attributes:
        name: its name at the command line.
        seconds: how long one input may take.
    """

    name: ClassVar[str]
    seconds: ClassVar[float] = 20.0

    @abc.abstractmethod
    def attempt(self, draw: random.Random) -> str:
        """Makes an input and tries it.

        Args:
            draw: the random numbers for it.

        Returns:
            `READ`, `SKIPPED` or `REFUSED`.

        Raises:
            Finding: if wrong values were read.
            Exception: which is a finding, too, except `UserError`, which is a refusal.
        """


def attempt(target: Target, number: int, seed: int) -> str:
    """Tries one input of a target.

    Args:
        target: the kind.
        number: which input.
        seed: of all of them.

    Returns:
        The outcome.

    Raises:
        Finding: naming the input, if it was not handled.
    """
    draw = random.Random(f"{seed} {target.name} {number}")
    name = f"{target.name}:{number} of seed {seed}"
    try:
        with limit(target.seconds):
            return target.attempt(draw)
    except UserError as error:
        said = str(error)
        if not said.strip() or "\n" in said or len(said) > 5000:
            raise Finding(f"{name}: not one line: {said[:300]!r}") from error
        return REFUSED
    except Hang as error:
        trace = "".join(traceback.format_tb(error.__traceback__)[-3:])
        raise Finding(f"{name}: takes over {target.seconds:g} s\n{trace}") from error
    except (KeyboardInterrupt, Finding):
        raise
    except BaseException as error:
        trace = "".join(traceback.format_tb(error.__traceback__)[-4:])
        said = f"{type(error).__name__}: {str(error)[:300]}"
        raise Finding(f"{name}: {said}\n{trace}") from error


@contextlib.contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Raises `Hang` if Python code takes longer; other hangs are not found."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def damaged(data: bytes, draw: random.Random) -> bytes:
    """Returns damaged bytes: flipped, cut off, left out or inserted."""
    found = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 5, 30))):
        if not found:
            return bytes(found)
        place = draw.randrange(len(found))
        match draw.randrange(8):
            case 0 | 1 | 2:
                found[place] ^= 1 << draw.randrange(8)
            case 3:
                found[place] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, 0x22, 0x7B, 0x5D))
            case 4:
                del found[place:]
            case 5:
                del found[place : place + draw.choice((1, 2, 4, 16, 100))]
            case 6:
                piece = draw.randbytes(draw.choice((1, 2, 4, 16, 100)))
                found[place:place] = piece
            case 7:
                start = draw.randrange(len(found))
                piece = bytes(found[start : start + draw.choice((2, 4, 8, 64))])
                found[place : place + len(piece)] = piece
    return bytes(found)
