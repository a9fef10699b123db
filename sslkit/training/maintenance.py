"""Notices of Google Cloud that a machine is about to be taken away.

A machine there learns of it from its metadata server, half a minute before a spot
machine is taken and up to an hour before one with a GPU or TPU is stopped for
maintenance. A notice becomes a termination signal to this process, so that a run saves
and ends as it does after any other.

`tf.distribute`'s own `PreemptionWatcher` knows Google's internal clusters alone, and
its `PreemptionCheckpointHandler` asks this server without a time limit and wants to own
the checkpoints.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import threading
import urllib.request
from collections.abc import Callable, Iterator

_PRODUCT = pathlib.Path("/sys/class/dmi/id/product_name")
_SERVER = "169.254.169.254"
_WAIT_SECONDS = 2.0
POLL_SECONDS = 5.0
"""The server is asked so often."""


def on_google_cloud() -> bool:
    """Returns whether this machine is one of Google's, as its firmware says."""
    try:
        return "Google" in _PRODUCT.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def ask(path: str) -> str:
    """Returns what the metadata server says of this machine.

    Args:
        path: e.g. `preempted`.

    Raises:
        OSError: if it does not answer in time.
    """
    server = os.environ.get("GCE_METADATA_HOST", _SERVER)
    request = urllib.request.Request(
        f"http://{server}/computeMetadata/v1/instance/{path}",
        headers={"Metadata-Flavor": "Google"},
    )
    # No proxy knows this address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_WAIT_SECONDS) as answer:
        return answer.read(1000).decode("utf-8", "replace").strip()


@contextlib.contextmanager
def heeding(
    say: Callable[[str], None],
    *,
    ask: Callable[[str], str] = ask,
    every: float = POLL_SECONDS,
    here: Callable[[], bool] = on_google_cloud,
) -> Iterator[None]:
    """Sends this process SIGTERM when its machine is about to be taken away.

    Nothing is asked on machines that are not Google's, nor where signals cannot be
    handled. A notice that stands already is no news: the run goes on, or one that is
    started again on the same machine would end again at once.

    Args:
        say: prints a line for the user.
        ask: answers for a path of the metadata server.
        every: seconds between two looks.
        here: whether this machine is one of Google's.
    """
    if threading.current_thread() is not threading.main_thread() or not here():
        yield
        return
    over = threading.Event()

    def watch() -> None:
        known = _notices(ask)
        for notice in known:
            say(f"{notice}; it was known before this run, which goes on")
        while not over.wait(every):
            news = [notice for notice in _notices(ask) if notice not in known]
            if news:
                say(f"{news[0]}: saving, and ending")
                os.kill(os.getpid(), signal.SIGTERM)
                return

    thread = threading.Thread(target=watch, name="sslkit-notices", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


def _notices(ask: Callable[[str], str]) -> list[str]:
    found = []
    with contextlib.suppress(OSError):
        if ask("preempted") == "TRUE":
            found.append("Google Cloud is about to take this machine away")
    with contextlib.suppress(OSError):
        if ask("maintenance-event").startswith("TERMINATE"):
            found.append("Google Cloud will stop this machine for maintenance")
    return found
