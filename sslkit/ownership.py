"""A folder has one owner, which may write in it, without locks of the file system.

A process that wants a folder writes a claim into it, a file with a unique name, and
then lists all claims. If two processes do so at the same time, the later list has both
claims, so at least one process sees the other; a process that sees another claim does
not take the folder. This only needs lists that show all files written before, which
disks, network disks and buckets provide. It needs no conditional writes, which
TensorFlow's file systems do not have.

An owner renews its claim by increasing a counter in it. For an owner on this machine,
its process shows whether it is still running. For an owner on another machine, the
counter shows it: the owner has lost the folder if the counter does not change for
`LEASE_SECONDS` while this process watches. So no clocks are compared. A claim that is
taken over is named in the new claim, so an owner that was only paused notices it at its
next renewal, or before it writes a checkpoint.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Mapping

import tensorflow as tf

from sslkit import storage
from sslkit.claims import CLAIM, LEASE_SECONDS, Claim, born, lives, machine, parse_claim
from sslkit.errors import UserError

RENEW_SECONDS = 15.0
"""Seconds from one renewal of a claim to the next."""

_LOOK_SECONDS = 0.1
_LOOK_FAR_SECONDS = 2.0


class Owner:
    """Keeps other processes from a folder, from `take` until `release`.

    Args:
        folder: the folder, which must exist.
        say: prints a line for the user.
        renew: seconds from one renewal to the next.
        lease: seconds without a renewal after which an owner on another machine loses
            the folder.
    """

    def __init__(
        self,
        folder: str,
        *,
        say: Callable[[str], None] = print,
        renew: float = RENEW_SECONDS,
        lease: float = LEASE_SECONDS,
    ):
        """Keeps the options; see the class."""
        self._folder = folder
        self._say = say
        self._renew = renew
        self._lease = lease
        now = _now()
        self._claim = Claim(
            token=uuid.uuid4().hex[:16],
            host=platform.node(),
            machine=machine(),
            pid=os.getpid(),
            born=born(os.getpid()) or "",
            start=now,
            renewed=now,
            renewals=0,
            holds=False,
        )
        self._writing = threading.Lock()
        self._over = threading.Event()
        self._lost: str | None = None
        self._thread = threading.Thread(
            target=self._keep_renewing, name="sslkit-owner", daemon=True
        )

    def take(self) -> None:
        """Takes the folder; waits until it is known whether it has another owner.

        Raises:
            UserError: naming the owner, if there is one.
        """
        with storage.reaching("the workdir", self._folder, verb="written"):
            self._write()
        self._thread.start()
        try:
            with storage.reaching("the workdir", self._folder, verb="written"):
                self._get_in()
        except BaseException:
            self.release()
            raise

    def check(self) -> None:
        """Checks the result of the last renewal.

        Raises:
            UserError: if another process has taken over the folder.
        """
        if self._lost is not None:
            raise UserError(
                f"{self._folder} does not belong to this process any more: "
                f"{self._lost}. This run ends here; nothing more is written."
            )

    def confirm(self) -> None:
        """Checks the claims in the folder now.

        Raises:
            UserError: if another process has taken it over, or it cannot be reached.
        """
        with storage.reaching("the workdir", self._folder):
            self._look_for_own()
        self.check()

    def release(self) -> None:
        """Gives the folder back; it may be called twice."""
        self._over.set()
        if self._thread.is_alive():
            # With a limit: a disk that hangs must not keep a process from ending.
            self._thread.join(timeout=5.0)
        with contextlib.suppress(tf.errors.OpError, OSError):
            tf.io.gfile.remove(self._path(self._claim.token))

    def _get_in(self) -> None:
        looking: dict[str, tuple[Claim | None, float]] = {}
        said = False
        while others := self._others():
            far = False
            for token, claim in others.items():
                before, since = looking.setdefault(token, (claim, time.monotonic()))
                alive = lives(claim)
                if alive is None and claim != before:
                    alive = True
                elif alive is None and time.monotonic() - since >= self._lease:
                    alive = False
                if alive is False:
                    self._take_over(token, claim)
                elif alive and claim and (claim.holds or claim.token < self._token):
                    raise UserError(
                        f"{self._folder} is in use: {claim} (UTC), trains in it. Wait "
                        "until it ends, or choose another --workdir."
                    )
                elif alive is None:
                    far = True
                    if not said:
                        said = True
                        self._say(
                            f"{self._folder} was claimed by "
                            f"{claim or 'another process'}; checking whether that is "
                            f"still running, for up to {self._lease:g} s"
                        )
            self.check()
            time.sleep(min(_LOOK_FAR_SECONDS, self._renew) if far else _LOOK_SECONDS)
        self._write(holds=True)

    @property
    def _token(self) -> str:
        return self._claim.token

    def _take_over(self, token: str, claim: Claim | None) -> None:
        # Written in the new claim before the old one is removed, so its owner can see
        # it.
        self._write(instead_of=(*self._claim.instead_of, token))
        with contextlib.suppress(tf.errors.NotFoundError):
            tf.io.gfile.remove(self._path(token))
        if claim is None:
            gone = f"a claim that cannot be read, unchanged for {self._lease:g} s"
        elif claim.machine == self._claim.machine:
            gone = f"{claim} (UTC), has ended"
        else:
            gone = f"{claim} (UTC), has not renewed its claim for {self._lease:g} s"
        self._say(f"taking over {self._folder}: {gone}")

    def _keep_renewing(self) -> None:
        while not self._over.wait(self._renew):
            # A folder that cannot be reached now may be reachable next time; if another
            # process has taken it over in between, that is seen then.
            with contextlib.suppress(tf.errors.OpError, OSError):
                self._look_for_own()
                if self._lost is not None:
                    return
                self._write()

    def _look_for_own(self) -> None:
        """Notes if the claim was removed or taken over."""
        tokens = self._tokens()
        for token in tokens:
            other = self._read(token) if token != self._token else None
            if other is not None and self._token in other.instead_of:
                self._lost = f"{other} (UTC), has taken it over"
                return
        if self._token not in tokens and not self._over.is_set():
            self._lost = f"its claim {self._path(self._token)} was removed"

    def _write(self, **changed: object) -> None:
        with self._writing:
            if self._over.is_set():
                return
            self._claim = dataclasses.replace(
                self._claim,
                renewals=self._claim.renewals + 1,
                renewed=_now(),
                **changed,  # type: ignore[arg-type]
            )
            text = json.dumps(dataclasses.asdict(self._claim), indent=2) + "\n"
            with (
                storage.replacing(self._path(self._token)) as beside,
                tf.io.gfile.GFile(beside, "w") as file,
            ):
                file.write(text)

    def _others(self) -> Mapping[str, Claim | None]:
        return {
            token: self._read(token) for token in self._tokens() if token != self._token
        }

    def _tokens(self) -> list[str]:
        names = storage.names(self._folder)
        return [match[1] for name in names if (match := CLAIM.fullmatch(name))]

    def _read(self, token: str) -> Claim | None:
        return _read_claim(self._path(token))

    def _path(self, token: str) -> str:
        return os.path.join(self._folder, f"owner-{token}.json")


def owner_of(folder: str) -> Claim | None:
    """Returns the claim of the process that owns a folder; None if there is none.

    It is not checked whether the process is still running.
    """
    for name in storage.names(folder):
        if CLAIM.fullmatch(name):
            claim = _read_claim(os.path.join(folder, name))
            if claim is not None and claim.holds:
                return claim
    return None


def _read_claim(path: str) -> Claim | None:
    """Returns the claim in a file; None if there is none, or it cannot be read."""
    try:
        with tf.io.gfile.GFile(path) as file:
            return parse_claim(file.read())
    except (tf.errors.NotFoundError, UnicodeDecodeError):
        return None


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
