"""Notices of Google Cloud that a machine is about to be stopped.

A machine there is told by its metadata server: half a minute before a spot machine is
preempted, and up to an hour before a machine with a GPU or TPU is stopped for
maintenance. A notice is turned into a termination signal to this process, so that a run
saves and ends as after any other such signal.

`tf.distribute`'s own `PreemptionWatcher` only works on Google's internal clusters, and
its `PreemptionCheckpointHandler` asks this server without a time limit and insists on
writing the checkpoints itself.
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
"""Seconds from one request to the server to the next."""


def on_google_cloud() -> bool:
    """Returns whether this machine is Google's, by the name in its firmware."""
    try:
        return "Google" in _PRODUCT.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def ask(path: str) -> str:
    """Returns an entry of the metadata server about this machine.

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
    # The address is local to the machine, so no proxy is used.
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
    """Sends this process SIGTERM when its machine is about to be stopped.

    On machines that are not Google's, and where signals cannot be handled, nothing is
    asked. A notice that is there when the run begins is ignored: otherwise a run that
    is started again on the same machine would end at once.

    Args:
        say: prints a line for the user.
        ask: answers for a path of the metadata server.
        every: seconds from one request to the next.
        here: whether this machine is one of Google's.
    """
    if threading.current_thread() is not threading.main_thread() or not here():
        yield
        return
    over = threading.Event()

    def watch() -> None:
        known = _notices(ask)
        for notice in known:
            say(f"{notice}; the notice is older than this run, which goes on")
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
            found.append("Google Cloud is about to preempt this machine")
    with contextlib.suppress(OSError):
        if ask("maintenance-event").startswith("TERMINATE"):
            found.append("Google Cloud will stop this machine for maintenance")
    return found
