"""A folder has one owner, on a disk and in a bucket."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import threading
import uuid

import pytest
import tensorflow as tf

from sslkit import ownership
from sslkit.claims import Claim, born, machine
from sslkit.errors import Stopped, UserError
from sslkit.ownership import Owner, owner_of
from sslkit.training.interrupt import stopping
from sslkit.workdir import Workdir

QUICK = {"renew": 0.02, "lease": 0.3}


@pytest.fixture(params=["disk", "bucket"])
def folder(request, tmp_path):
    if request.param == "disk":
        return str(tmp_path)
    path = f"ram://owned/{uuid.uuid4().hex}"
    tf.io.gfile.makedirs(path)
    return path


def claims(folder):
    return [n for n in tf.io.gfile.listdir(folder) if n.startswith("owner-")]


def leave(folder, **changed):
    """Writes the claim of another process; returns it."""
    claim = Claim(
        token="0" * 16,
        host="there",
        machine=machine(),
        pid=os.getpid(),
        born=born(os.getpid()),
        start="2026-01-02 03:04:05",
        renewed="2026-01-02 03:04:05",
        renewals=7,
        holds=True,
    )
    claim = dataclasses.replace(claim, **changed)
    with tf.io.gfile.GFile(f"{folder}/owner-{claim.token}.json", "w") as file:
        file.write(json.dumps(dataclasses.asdict(claim)))
    return claim


def gone():
    """Returns the id of a process that has ended, and when it began."""
    process = subprocess.Popen(["sleep", "60"])
    began = born(process.pid)
    process.kill()
    # It is a zombie, still in the list of processes.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert born(process.pid) is None
    process.wait()
    assert born(process.pid) is None
    return process.pid, began


def test_a_second_one_is_told_who_the_first_is(folder):
    first = Owner(folder)
    first.take()
    second = Owner(folder)
    with pytest.raises(UserError) as refused:
        second.take()
    claim = owner_of(folder)
    assert claim.pid == os.getpid()
    assert str(refused.value) == (
        f"{folder} is in use: process {claim.pid} on {claim.host}, since {claim.start} "
        "(UTC), trains in it. Wait until it ends, or choose another --workdir."
    )
    assert len(claims(folder)) == 1
    first.confirm()
    first.release()
    assert claims(folder) == []
    assert owner_of(folder) is None


def test_one_of_many_at_the_same_time_gets_the_folder(folder):
    owners = [Owner(folder, **QUICK) for _ in range(6)]
    won, refused = [], []
    ready = threading.Barrier(len(owners))

    def go(owner):
        ready.wait()
        try:
            owner.take()
            won.append(owner)
        except UserError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=go, args=[owner]) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(refused) == 5
    won[0].confirm()
    won[0].release()


def test_a_dead_process_of_this_machine_is_taken_over_at_once(folder):
    pid, began = gone()
    leave(folder, pid=pid, born=began)
    said = []
    owner = Owner(folder, say=said.append)
    owner.take()
    assert said == [
        f"taking over {folder}: process {pid} on there, since 2026-01-02 03:04:05 "
        "(UTC), has ended"
    ]
    owner.release()
    assert claims(folder) == []


def test_another_process_of_the_same_number_is_not_the_owner(folder):
    leave(folder, born="12")
    said = []
    owner = Owner(folder, say=said.append)
    owner.take()
    assert "has ended" in said[0]
    owner.release()


def test_a_silent_owner_on_another_machine_is_taken_over_after_a_while(folder):
    leave(folder, machine="another")
    said = []
    owner = Owner(folder, say=said.append, **QUICK)
    owner.take()
    assert "checking whether that is still running, for up to 0.3 s" in said[0]
    assert said[1].endswith("has not renewed its claim for 0.3 s")
    owner.release()


def test_an_owner_on_another_machine_that_renews_is_left_alone(folder, monkeypatch):
    monkeypatch.setattr(ownership, "machine", lambda: "another")
    first = Owner(folder, **QUICK)
    first.take()
    monkeypatch.undo()
    second = Owner(folder, renew=0.02, lease=60, say=lambda line: None)
    with pytest.raises(UserError, match="is in use: process"):
        second.take()
    first.confirm()
    first.release()


def test_an_unreadable_claim_counts_until_it_is_old(folder):
    with tf.io.gfile.GFile(f"{folder}/owner-{'0' * 16}.json", "w") as file:
        file.write("{")
    said = []
    owner = Owner(folder, say=said.append, **QUICK)
    owner.take()
    assert "claimed by another process" in said[0]
    assert "cannot be read, unchanged for 0.3 s" in said[1]
    owner.release()


def test_a_paused_owner_notices_that_it_lost_the_folder(folder, monkeypatch):
    """Its machine slept; meanwhile it was taken over."""
    monkeypatch.setattr(ownership, "machine", lambda: "another")
    asleep = Owner(folder, renew=3600)
    asleep.take()
    asleep.check()
    monkeypatch.undo()
    second = Owner(folder, say=lambda line: None, **QUICK)
    second.take()
    with pytest.raises(
        UserError, match=r"not belong .* any more: process .* has taken it"
    ):
        asleep.confirm()
    with pytest.raises(UserError, match="nothing more is written"):
        asleep.check()
    # When it continues, it may write its claim once more; the other goes on.
    asleep._write()
    second.confirm()
    with pytest.raises(UserError):
        asleep.confirm()
    second.release()


def test_a_renewal_notices_it_too(folder):
    owner = Owner(folder, **QUICK)
    owner.take()
    while owner._thread.is_alive():
        # Again, if it was just being renewed.
        for name in claims(folder):
            with contextlib.suppress(tf.errors.NotFoundError):
                tf.io.gfile.remove(f"{folder}/{name}")
        owner._thread.join(0.05)
    with pytest.raises(UserError, match=r"its claim .* was removed"):
        owner.check()
    owner.release()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        Owner(str(tmp_path / "file")).take()


def test_a_signal_gives_the_folder_back(tmp_path):
    workdir = Workdir(str(tmp_path))
    with pytest.raises(Stopped), stopping(), workdir.alone():
        assert len(claims(tmp_path)) == 1
        signal.raise_signal(signal.SIGTERM)
    assert list(tmp_path.iterdir()) == []
