"""Checkpoints are whole or not there, and say what is wrong with them."""

from __future__ import annotations

import resource

import keras
import numpy as np
import pytest
import tensorflow as tf

from sslkit import checkpoints
from sslkit.api import UserError
from sslkit.checkpoints import Checkpoints, restore, write


@pytest.fixture
def store(tmp_path):
    return Checkpoints(str(tmp_path / "checkpoints"), keep=2)


def steps(store):
    return [int(prefix.rpartition("_")[2]) for prefix in store.prefixes()]


def test_restores_what_was_saved(store, table):
    prefix = store.save(table(a=1.5, b=[2.0, 3.0], step=7), step=7)
    assert store.latest() == prefix
    other = table(a=0.0, b=[0.0, 0.0], step=0)
    restore(other, prefix)
    assert [other[name].numpy().tolist() for name in "ab"] == [1.5, [2.0, 3.0]]
    assert other["step"].numpy() == 7


def test_is_in_a_format_that_tensorflow_reads(store, table):
    reader = tf.train.load_checkpoint(store.save(table(**{"a/b": 4.0}), step=1))
    assert reader.get_variable_to_shape_map() == {"a/b": []}
    assert reader.get_tensor("a/b") == 4.0


def test_keeps_the_latest_few(store, table):
    for step in (1, 9, 10, 99_999_999, 100_000_000):
        store.save(table(a=0.0), step=step)
    assert steps(store) == [99_999_999, 100_000_000]
    folder = store.latest().rpartition("/")[0]
    assert len(tf.io.gfile.listdir(folder)) == 2 * 2


def test_an_empty_folder_has_none(store):
    assert store.latest() is None


def test_refuses_to_keep_none():
    with pytest.raises(UserError, match="keep is 0; it is 1 or more"):
        Checkpoints("anywhere", keep=0)


@pytest.mark.parametrize("missing", ["moves", "last move", "data"])
def test_a_half_written_one_is_ignored(store, table, missing, monkeypatch):
    """The process was killed before, or between, the moves; or the data got lost."""
    good = store.save(table(a=1.0), step=1)
    with monkeypatch.context() as patch:
        rename, moved = tf.io.gfile.rename, []

        def killed(source, target, overwrite):
            if missing == "moves" or (missing == "last move" and moved):
                raise KeyboardInterrupt
            moved.append(target)
            rename(source, target, overwrite=overwrite)

        patch.setattr(tf.io.gfile, "rename", killed)
        if missing == "data":
            prefix = store.save(table(a=2.0), step=2)
            tf.io.gfile.remove(f"{prefix}.data-00000-of-00001")
        else:
            with pytest.raises(KeyboardInterrupt):
                store.save(table(a=2.0), step=2)
    assert store.latest() == good
    # The run goes on from there, and comes to the same step again.
    again = store.save(table(a=3.0), step=2)
    assert store.prefixes() == [good, again]
    restored = table(a=0.0)
    restore(restored, again)
    assert restored["a"].numpy() == 3.0
    folder = again.rpartition("/")[0]
    assert not any("partial" in name for name in tf.io.gfile.listdir(folder))


def test_a_full_disk_leaves_the_earlier_ones(store):
    """The limit on the size of files fails a write as a full disk does."""
    small = {"a": keras.Variable(np.zeros(4, np.float32))}
    large = {"a": keras.Variable(np.zeros(2**20, np.float32))}
    good = store.save(small, step=1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
    try:
        with pytest.raises(
            UserError, match=f"step_00000002 cannot be.*good one is {good}"
        ):
            store.save(large, step=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert store.prefixes() == [good]
    assert len(tf.io.gfile.listdir(good.rpartition("/")[0])) == 2
    restore(small, good)


def test_a_folder_that_cannot_be_made(tmp_path, table):
    (tmp_path / "file").write_text("")
    store = Checkpoints(str(tmp_path / "file" / "checkpoints"))
    with pytest.raises(UserError, match="step_00000001 cannot be written"):
        store.save(table(a=1.0), step=1)


def test_another_model_is_refused_with_both_sides_named(store, table):
    prefix = store.save(table(a=1.0, b=1.0, c=1.0), step=1)
    wanted = table(a=0.0, x=0.0)
    with pytest.raises(
        UserError,
        match="lacks, first 'x'; 2 that this run does not have, first 'b'",
    ):
        restore(wanted, prefix)
    assert wanted["a"].numpy() == 0.0


def test_another_shape_is_refused_before_anything_is_set(store, table):
    prefix = store.save(table(a=1.0, b=[1.0, 2.0]), step=1)
    wanted = table(a=0.0, b=[0.0, 0.0, 0.0])
    with pytest.raises(UserError, match=r"b has shape \(2,\) there and \(3,\) here"):
        restore(wanted, prefix)
    assert wanted["a"].numpy() == 0.0


def test_damage_is_named_and_sets_nothing(store, table):
    prefix = store.save(table(a=1.0, b=[1.0] * 64), step=1)
    data = f"{prefix}.data-00000-of-00001"
    with open(data, "r+b") as file:
        file.seek(100)
        file.write(b"\xff\xff\xff")
    wanted = table(a=0.0, b=[0.0] * 64)
    with pytest.raises(UserError, match=r"is damaged: .*Remove its files"):
        restore(wanted, prefix)
    assert wanted["a"].numpy() == 0.0


def test_what_is_no_checkpoint_is_named(tmp_path):
    (tmp_path / "x.index").write_text("no")
    with pytest.raises(UserError, match=r"x is no readable checkpoint"):
        checkpoints.read(str(tmp_path / "x"))


def test_writing_over_one_never_leaves_a_mixture(tmp_path, table, monkeypatch):
    """New data under an old index would pass for the old checkpoint."""
    prefix = str(tmp_path / "state")
    write(table(a=1.0), prefix)
    rename = tf.io.gfile.rename

    def killed(source, target, overwrite):
        rename(source, target, overwrite=overwrite)
        raise KeyboardInterrupt

    monkeypatch.setattr(tf.io.gfile, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        write(table(a=2.0), prefix)
    assert not tf.io.gfile.exists(f"{prefix}.index")


ODD = ["lr[0.1]", "lr[12]", "a b", "what?", "all*", "back\\slash", "größe-写真"]


@pytest.mark.parametrize("name", ODD)
def test_a_folder_may_have_any_name(tmp_path, table, name):
    store = Checkpoints(str(tmp_path / name / "checkpoints"), keep=2)
    for step in (1, 2, 3):
        store.save(table(a=float(step)), step=step)
    assert steps(store) == [2, 3]
    again = Checkpoints(str(tmp_path / name / "checkpoints"))
    prefix = checkpoints.find_checkpoint(str(tmp_path / name))
    assert prefix == again.latest() == store.latest()
    wanted = table(a=0.0)
    restore(wanted, prefix)
    assert wanted["a"].numpy() == 3.0


def test_a_folder_in_a_bucket_may_have_any_name(table):
    store = Checkpoints("ram://odd/lr[12]/checkpoints")
    prefix = store.save(table(a=1.5), step=1)
    wanted = table(a=0.0)
    restore(wanted, prefix)
    assert wanted["a"].numpy() == 1.5


def test_a_neighbour_keeps_its_checkpoints(tmp_path, table):
    """As a pattern, `lr[12]` means lr1 and lr2."""
    neighbour = Checkpoints(str(tmp_path / "lr1" / "checkpoints"))
    kept = [neighbour.save(table(a=1.0), step=step) for step in (10, 20)]
    store = Checkpoints(str(tmp_path / "lr[12]" / "checkpoints"), keep=1)
    assert store.latest() is None
    prefix = store.save(table(a=2.0), step=30)
    assert store.prefixes() == [prefix]
    assert neighbour.prefixes() == kept
    # Of a neighbour's checkpoint of the same step nothing is read either.
    neighbour.save(table(a=3.0), step=30)
    wanted = table(a=0.0)
    restore(wanted, prefix)
    assert wanted["a"].numpy() == 2.0


@pytest.mark.parametrize("name", ["lr[0.1]", "published"])
def test_what_tensorflow_calls_the_latest_is_found(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    for step in (1, 2):
        write({"a": tf.Variable(float(step))}, str(folder / f"model.ckpt-{step}"))
    tf.compat.v1.train.update_checkpoint_state(str(folder), "model.ckpt-1")
    assert checkpoints.find_checkpoint(str(folder)) == str(folder / "model.ckpt-1")


def test_a_note_comes_and_goes_with_its_checkpoint(store, table):
    sums = {"sums": {"loss": 0.1 + 0.2, "odd": float("inf")}, "count": 3}
    prefix = store.save(table(a=1.0), step=1, note=sums)
    assert checkpoints.read_note(prefix) == sums
    other = store.save(table(a=1.0), step=2)
    assert checkpoints.read_note(other) == {}
    # Done again, the step has nothing to note.
    store.save(table(a=1.0), step=1)
    assert checkpoints.read_note(prefix) == {}
    for step in (3, 4):
        store.save(table(a=1.0), step=step, note=sums)
    store.save(table(a=1.0), step=5)
    folder = prefix.rpartition("/")[0]
    assert len(tf.io.gfile.listdir(folder)) == 2 * 2 + 1
