"""Checkpoints are complete or do not exist, and damage is reported."""

from __future__ import annotations

import math
import pathlib
import resource
import shutil
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from sslkit import checkpoints
from sslkit.api import UserError
from sslkit.checkpoints import Checkpoints, Damaged, Keep, files, restore, write


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
    assert len(tf.io.gfile.listdir(folder)) == 2 * 3


def test_an_empty_folder_has_none(store):
    assert store.latest() is None


def test_refuses_to_keep_none():
    with pytest.raises(UserError, match="keep is 0; it is 1 or more"):
        Checkpoints("anywhere", keep=0)


@pytest.mark.parametrize("missing", ["moves", "last move", "data"])
def test_a_half_written_one_is_ignored(store, table, missing, monkeypatch):
    """The process was killed before or between the renames; or the data was lost."""
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
    # The run is resumed from there, and reaches the same step again.
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
    assert len(tf.io.gfile.listdir(good.rpartition("/")[0])) == 3
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
    with pytest.raises(UserError, match=r"is damaged: .*Name an earlier checkpoint"):
        restore(wanted, prefix)
    assert wanted["a"].numpy() == 0.0


def test_a_path_that_is_not_a_checkpoint_is_named(tmp_path):
    (tmp_path / "x.index").write_text("no")
    with pytest.raises(UserError, match=r"x is not a readable checkpoint"):
        checkpoints.read(str(tmp_path / "x"))


def test_writing_over_one_never_leaves_a_mixture(tmp_path, table, monkeypatch):
    """New data with an old index would look like the old checkpoint."""
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
    # A neighbour's checkpoint of the same step is not read either.
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
    # When the step is done again, it has no note.
    store.save(table(a=1.0), step=1)
    assert checkpoints.read_note(prefix) == {}
    for step in (3, 4):
        store.save(table(a=1.0), step=step, note=sums)
    store.save(table(a=1.0), step=5)
    folder = prefix.rpartition("/")[0]
    assert len(tf.io.gfile.listdir(folder)) == 2 * 3


def flip(path, place):
    with open(path, "r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))


def cut(path, left):
    with open(path, "r+b") as file:
        file.truncate(left)


def size(path):
    return pathlib.Path(path).stat().st_size


def digest_in(path):
    return pathlib.Path(path).read_text().index('"b": "') + 6


DATA = ".data-00000-of-00001"
DAMAGES = {
    "a bit of the data": (DATA, lambda path: flip(path, 9)),
    "a bit of the index": (".index", lambda path: flip(path, 9)),
    "a bit of a digest": (".note.json", lambda path: flip(path, digest_in(path))),
    "data that ends early": (DATA, lambda path: cut(path, 100)),
    "an empty data file": (DATA, lambda path: cut(path, 0)),
    "an index that ends early": (".index", lambda path: cut(path, 20)),
    "an index of half its size": (".index", lambda path: cut(path, size(path) // 2)),
    "an index without its end": (".index", lambda path: cut(path, size(path) - 1)),
    "an empty index": (".index", lambda path: cut(path, 0)),
    "a note that ends early": (".note.json", lambda path: cut(path, 9)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_skipped(store, table, damage):
    good = store.save(table(a=1.0, b=[1.0] * 64), step=1)
    bad = store.save(table(a=2.0, b=[2.0] * 64), step=2)
    part, spoil = DAMAGES[damage]
    spoil(f"{bad}{part}")
    wanted, said = table(a=0.0, b=[0.0] * 64), []
    assert store.restore_latest(wanted, say=said.append) == good
    assert wanted["a"].numpy() == 1.0
    (line,) = said
    assert line.startswith(f"{bad} is damaged and is skipped: ")
    # Reading leaves it as it is; a resumed run renames it.
    assert store.latest() == bad
    assert store.restore_latest(wanted, say=said.append, mend=True) == good
    assert store.latest() == good
    assert store.save(table(a=3.0, b=[3.0] * 64), step=2) == store.latest()


def test_readable_values_that_differ_from_what_was_written_are_damaged(store, table):
    """TensorFlow's checksums are of the files; these are of the values."""
    prefix = store.save(table(a=1.0), step=1)
    other = store.save(table(a=2.0), step=2)
    for part in (DATA, ".index"):
        shutil.copy(f"{other}{part}", f"{prefix}{part}")
    with pytest.raises(Damaged, match="step_00000001 is damaged: a is not what was"):
        restore(table(a=0.0), prefix)


def test_a_run_does_not_start_again_if_all_checkpoints_are_damaged(store, table):
    prefixes = [store.save(table(a=1.0), step=step) for step in (1, 2)]
    for prefix in prefixes:
        cut(f"{prefix}{DATA}", 0)
    with pytest.raises(UserError, match=r"none of the 2 checkpoint\(s\) in .* can be"):
        store.restore_latest(table(a=0.0), say=lambda line: None)


def test_another_model_is_not_damage(store, table):
    store.save(table(a=1.0), step=1)
    store.save(table(b=1.0), step=2)
    with pytest.raises(UserError, match="a checkpoint of another model"):
        store.restore_latest(table(a=0.0), say=pytest.fail)


def test_the_run_goes_on_while_one_is_written(store, table, monkeypatch):
    may_write = threading.Event()
    write_values = files.write_values

    def late(*given, **options):
        assert may_write.wait(60)
        write_values(*given, **options)

    monkeypatch.setattr(files, "write_values", late)
    values = table(a=1.0)
    store.save_in_background(values, step=1)
    # The written values are those at that time.
    values["a"].assign(2.0)
    store.check()
    assert store.latest() is None
    may_write.set()
    store.finish()
    restore(values, store.latest())
    assert values["a"].numpy() == 1.0


def test_an_error_in_the_background_is_raised_once(tmp_path, table):
    (tmp_path / "file").write_text("")
    store = Checkpoints(str(tmp_path / "file" / "checkpoints"))
    store.save_in_background(table(a=1.0), step=1)
    with pytest.raises(UserError, match="step_00000001 cannot be written"):
        store.finish()
    store.check()


def test_nothing_is_written_to_a_folder_of_another_owner(tmp_path, table):
    def refuse():
        raise UserError("not yours")

    store = Checkpoints(str(tmp_path / "checkpoints"), guard=refuse)
    with pytest.raises(UserError, match="not yours"):
        store.save(table(a=1.0), step=1)
    assert list(tmp_path.iterdir()) == []


def test_files_in_progress_are_not_moved_into_a_folder_of_another_owner(
    tmp_path, table
):
    def refuse_in_the_end(asked=[]):  # noqa: B006
        asked.append(True)
        if len(asked) > 1:
            raise UserError("not yours any more")

    store = Checkpoints(str(tmp_path / "checkpoints"), guard=refuse_in_the_end)
    with pytest.raises(UserError, match="not yours any more"):
        store.save(table(a=1.0), step=1)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_keeps_the_best_and_one_for_every_few_hours(tmp_path, table):
    clock = iter(range(0, 10**6, 3600))
    store = Checkpoints(
        str(tmp_path / "checkpoints"),
        keep=Keep(2, best="knn_top1", every_hours=5),
        clock=lambda: next(clock),
    )
    knn = {3: 0.7, 8: 0.9, 12: 0.9, 13: math.nan}
    for step in range(17):
        found = {"knn_top1": knn[step]} if step in knn else {}
        store.save(table(a=0.0), step=step, measures=found)
    assert steps(store) == [0, 5, 10, 12, 15, 16]


def test_files_of_a_killed_process_are_removed(store, table):
    """Renamed except the index, at a step that no later run reaches."""
    prefix = store.save(table(a=1.0), step=1)
    folder = pathlib.Path(prefix).parent
    for name in ("step_00000007.note.json", f"step_00000007{DATA}", "mine.txt"):
        (folder / name).write_text("")
    store.save(table(a=1.0), step=2)
    names = {path.name.partition(".")[0] for path in folder.iterdir()}
    assert names == {"step_00000001", "step_00000002", "mine"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"count": 6', '"count": 4'),
        ("0.25", "0.35"),
        ('"loss"', '"lo5s"'),
        ('"digests"', '"digestr"'),
        ('"own_digest"', '"own_digesu"'),
    ],
)
def test_a_note_that_was_changed_is_damaged(store, table, old, new):
    """Otherwise the next line of metrics would be wrong, without an error."""
    note = {"count": 6, "sums": {"loss": 1.5}}
    prefix = store.save(table(a=1.0), step=1, note=note, measures={"knn_top1": 0.25})
    path = pathlib.Path(f"{prefix}.note.json")
    text = path.read_text()
    assert checkpoints.read_note(prefix) == note
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(UserError, match="is damaged: its note is not what was written"):
        checkpoints.read_note(prefix)


def test_a_file_that_names_the_latest_and_is_damaged_names_nothing(tmp_path):
    for content in (b"\xff\xfe", b"model_checkpoint_path: [", b""):
        (tmp_path / "checkpoint").write_bytes(content)
        with pytest.raises(UserError, match="there is no checkpoint at"):
            checkpoints.find_checkpoint(str(tmp_path))
