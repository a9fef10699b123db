"""Importing published checkpoints and writing them again."""

from __future__ import annotations

import numpy as np
import pytest
from published.conftest import equal

from sslkit.api import UserError
from sslkit.checkpoints import find_checkpoint, restore, write
from sslkit.published.exporting import write_published
from sslkit.published.importing import Value, import_published
from sslkit.training.initialize import initialize
from sslkit_fnc.objective import FNC


def test_the_recorded_checkpoint_comes_back_bit_for_bit(
    make_table, published_checkpoint, contents, tmp_path
):
    found = import_published(published_checkpoint, str(tmp_path / "W"))
    assert found.checkpoint.endswith("W/checkpoints/step_00001234")
    assert find_checkpoint(str(tmp_path / "W")) == found.checkpoint
    values = contents(found.checkpoint)
    first = list(make_table())
    ordered = [*first, *sorted(set(values) - set(first))]
    again = str(tmp_path / "again")
    write_published({name: Value(values[name]) for name in ordered}, again)
    equal(contents(again), contents(published_checkpoint))


def test_the_import_says_what_it_found(published_checkpoint, tmp_path):
    found = import_published(published_checkpoint, str(tmp_path / "W"))
    assert str(found.architecture) == "ResNet-18, width 1, cifar stem"
    for line in ("momentum encoder", "unknown"):
        assert line not in found.report
    for line in ("encoder ", "projection head", "supervised head", "optimizer slots"):
        assert line in found.report
    text = (tmp_path / "W" / "backbone.gin").read_text()
    assert "backbones.resnet.depth = 18\n" in text
    assert "backbones.resnet.stem = 'cifar'\n" in text


def test_a_run_starts_from_an_import(make_table, published_checkpoint, tmp_path):
    import_published(published_checkpoint, str(tmp_path / "W"))
    imported, direct = make_table(), make_table()
    patterns = ["encoder/", "projection/", "classifier/"]
    initialize(imported, str(tmp_path / "W"), patterns)
    initialize(direct, published_checkpoint, patterns)
    equal(
        {name: value.numpy() for name, value in imported.items()},
        {name: value.numpy() for name, value in direct.items()},
    )


def test_a_whole_fnc_run_comes_back(make_state, contents, tmp_path):
    """Momentum twin, memory bank, optimizer slots and step go both ways."""
    options = {"views": 2, "size": 16, "support": 0, "bank": 4, "topk": 3}
    state = make_state(FNC, **options)
    draw = np.random.default_rng(1)
    for name, variable in state.table.items():
        variable.assign(7 if name == "step" else draw.normal(size=variable.shape))
    before = {name: variable.numpy() for name, variable in state.table.items()}
    published = str(tmp_path / "model.ckpt-7")
    network = write_published(state.table, published)
    assert network.depth == 18
    names = set(contents(published))
    assert {
        "memory/memory",
        "global_step",
        "ema_model/base_model/conv2d_20/kernel",
        "ema_model/head_contrastive_instance/nl_2/batch_normalization/gamma",
        "base_model/batch_normalization_20/gamma/Momentum",
    } <= names
    assert len(names) == len(before)

    found = import_published(published, str(tmp_path / "W"))
    for variable in state.table.values():
        variable.assign(np.zeros(variable.shape))
    restore(state.table, found.checkpoint)
    equal({name: v.numpy() for name, v in state.table.items()}, before)


@pytest.mark.parametrize(
    ("schema", "parts"),
    [
        (None, {"encoder", "projection", "classifier", "optimizer", "step"}),
        (r"(?!global_step|(?:.*/|^)Momentum|head)", {"encoder", "step"}),
    ],
)
def test_a_schema_leaves_out(published_checkpoint, contents, tmp_path, schema, parts):
    found = import_published(published_checkpoint, str(tmp_path), schema=schema)
    values = contents(found.checkpoint)
    assert {name.split("/")[0] for name in values} == parts
    assert values["step"] == (0 if schema else 1234)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v.update({"a/b": np.zeros(3, "f4")}), r"first a/b of shape \(3,\)"),
        (lambda v: v.pop("base_model/batch_normalization/beta"), r"lacks .*\(64,\)"),
        (
            lambda v: v.update({"base_model/batch_normalization/beta": np.zeros(3)}),
            r"beta has shape \(3,\); in ResNet-18, .* it has shape \(64,\)",
        ),
    ],
)
def test_the_import_is_strict(published_checkpoint, contents, tmp_path, change, said):
    values = contents(published_checkpoint)
    change(values)
    prefix = str(tmp_path / "changed")
    write({name: Value(value) for name, value in values.items()}, prefix)
    with pytest.raises(UserError, match=said):
        import_published(prefix, str(tmp_path / "W"))
    assert not (tmp_path / "W").exists()


def test_an_import_does_not_overwrite_anything(published_checkpoint, tmp_path):
    found = import_published(published_checkpoint, str(tmp_path))
    with pytest.raises(UserError, match="already holds checkpoints"):
        import_published(published_checkpoint, str(tmp_path))
    with pytest.raises(UserError, match="already a checkpoint of sslkit"):
        import_published(found.checkpoint, str(tmp_path / "more"))


def test_only_published_networks_are_written(make_state, tmp_path):
    table = {"encoder/dense/kernel": Value(np.zeros([2, 2]))}
    with pytest.raises(UserError, match="the encoder cannot be written"):
        write_published(table, str(tmp_path / "x"))
    with pytest.raises(UserError, match="first prototypes/kernel"):
        write_published({"prototypes/kernel": Value(np.zeros(2))}, str(tmp_path / "x"))
