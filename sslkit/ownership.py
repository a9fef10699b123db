"""A folder has one owner: who may write in it, without locks of the file system.

Whoever wants a folder writes a claim into it, a file of its own name, and then lists
the claims. Of two that come at the same time the later list holds both, so at least one
sees the other; who is not alone does not go in. That needs nothing but lists that show
what was written before, which disks, network disks and buckets have, and no
precondition, which TensorFlow's file systems do not offer.

An owner renews its claim: a counter in it grows. Whether an owner lives is seen at its
process, where that is of this machine; of another, from the counter, which has to stand
still for `LEASE_SECONDS` while this process looks. No two clocks are compared. A claim
that is taken over is named in the new one, so an owner that was only stopped finds out
at its next renewal, or before it writes a checkpoint.
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
"""An owner renews its claim so often."""

_LOOK_SECONDS = 0.1
_LOOK_FAR_SECONDS = 2.0


class Owner:
    """Keeps other processes from a folder, from `take` until `release`.

    Args:
        folder: the folder, which must exist.
        say: prints a line for the user.
        renew: seconds between two renewals.
        lease: seconds without one after which an owner on another machine has lost it.
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
        """Waits until the folder is this process's own, or it is known whose it is.

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
        """Looks at what the last renewal found.

        Raises:
            UserError: if the folder is somebody else's by now.
        """
        if self._lost is not None:
            raise UserError(
                f"{self._folder} is no longer this process's own: {self._lost}. This "
                "run ends here; nothing more is written."
            )

    def confirm(self) -> None:
        """Looks into the folder now.

        Raises:
            UserError: if it is somebody else's by now, or out of reach.
        """
        with storage.reaching("the workdir", self._folder):
            self._look_for_own()
        self.check()

    def release(self) -> None:
        """Gives the folder back; once more is harmless."""
        self._over.set()
        if self._thread.is_alive():
            # Not for ever: a disk that hangs must not keep a process from ending.
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
                        f"{self._folder} has an owner: {claim} (UTC), trains in it. "
                        "Wait until it ends, or choose another --workdir."
                    )
                elif alive is None:
                    far = True
                    if not said:
                        said = True
                        self._say(
                            f"{self._folder} was claimed by {claim or 'somebody'}; "
                            "looking whether it still lives, for up to "
                            f"{self._lease:g} s"
                        )
            self.check()
            time.sleep(min(_LOOK_FAR_SECONDS, self._renew) if far else _LOOK_SECONDS)
        self._write(holds=True)

    @property
    def _token(self) -> str:
        return self._claim.token

    def _take_over(self, token: str, claim: Claim | None) -> None:
        # Said in the new claim before the old one goes, so that its owner can tell.
        self._write(instead_of=(*self._claim.instead_of, token))
        with contextlib.suppress(tf.errors.NotFoundError):
            tf.io.gfile.remove(self._path(token))
        if claim is None:
            gone = f"a claim that cannot be read, unchanged for {self._lease:g} s"
        elif claim.machine == self._claim.machine:
            gone = f"{claim} (UTC), is gone"
        else:
            gone = f"{claim} (UTC), has not renewed its claim for {self._lease:g} s"
        self._say(f"taking over {self._folder}: {gone}")

    def _keep_renewing(self) -> None:
        while not self._over.wait(self._renew):
            # What is out of reach now may be back next time; nobody can have taken it
            # over meanwhile without being seen then.
            with contextlib.suppress(tf.errors.OpError, OSError):
                self._look_for_own()
                if self._lost is not None:
                    return
                self._write()

    def _look_for_own(self) -> None:
        """Notes if the claim is gone or taken over."""
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
    """Returns the claim of the process that has a folder; None where none has.

    Whether the process still lives is not looked at.
    """
    for name in storage.names(folder):
        if CLAIM.fullmatch(name):
            claim = _read_claim(os.path.join(folder, name))
            if claim is not None and claim.holds:
                return claim
    return None


def _read_claim(path: str) -> Claim | None:
    """Returns the claim in a file; None where there is none that can be understood."""
    try:
        with tf.io.gfile.GFile(path) as file:
            return parse_claim(file.read())
    except (tf.errors.NotFoundError, UnicodeDecodeError):
        return None


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
