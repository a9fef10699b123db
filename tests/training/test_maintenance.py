"""A notice of Google Cloud ends a run as a signal does."""

from __future__ import annotations

import http.server
import threading
import time

import pytest

from sslkit.errors import Stopped
from sslkit.training.interrupt import stopping
from sslkit.training.maintenance import ask, heeding


class Server:
    """Answers like the metadata server, with a given answer per path."""

    def __init__(self, **answers):
        self.answers = {"preempted": "FALSE", "maintenance-event": "NONE", **answers}
        self.asked = threading.Semaphore(0)

    def __call__(self, path):
        self.asked.release()
        answer = self.answers[path]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("path", "answer", "line"),
    [
        ("preempted", "TRUE", "Google Cloud is about to preempt this machine: saving"),
        (
            "maintenance-event",
            "TERMINATE_ON_HOST_MAINTENANCE",
            "Google Cloud will stop this machine for maintenance: saving, and ending",
        ),
    ],
)
def test_a_notice_ends_a_run_as_a_signal_does(path, answer, line):
    server, said = Server(), []
    with (
        pytest.raises(Stopped, match="SIGTERM"),
        stopping(),
        heeding(said.append, ask=server, every=0.01, here=lambda: True),
    ):
        for _ in range(4):
            assert server.asked.acquire(timeout=60)
        assert said == []
        server.answers[path] = answer
        time.sleep(60)
    assert said[0].startswith(line)


@pytest.mark.parametrize(
    "answers",
    [
        {"maintenance-event": "MIGRATE_ON_HOST_MAINTENANCE"},
        {"preempted": TimeoutError(), "maintenance-event": ConnectionRefusedError()},
        {"preempted": "TRUE"},
    ],
    ids=["it moves along", "no answer", "known before"],
)
def test_other_answers_do_not_end_the_run(answers):
    server, said = Server(**answers), []
    with heeding(said.append, ask=server, every=0.01, here=lambda: True):
        for _ in range(8):
            assert server.asked.acquire(timeout=60)
    known = answers.get("preempted") == "TRUE"
    assert any("the notice is older than this run" in line for line in said) == known


def test_no_server_is_asked_elsewhere():
    with heeding(pytest.fail, ask=pytest.fail, every=0.0, here=lambda: False):
        pass


def test_asks_as_the_server_wants_to_be_asked(monkeypatch):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.path == "/computeMetadata/v1/instance/preempted"
            good = known and self.headers["Metadata-Flavor"] == "Google"
            self.send_response(200 if good else 403)
            self.end_headers()
            self.wfile.write(b"TRUE\n")

        def log_message(self, *words):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv("GCE_METADATA_HOST", address)
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        try:
            assert ask("preempted") == "TRUE"
            with pytest.raises(OSError, match="403"):
                ask("another")
        finally:
            server.shutdown()
            thread.join()
    with pytest.raises(OSError):
        ask("preempted")
