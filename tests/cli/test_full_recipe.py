"""ImageNet from pretraining to 1% of the labels, at a small size."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

# Overrides of size, and of the machine; nothing else.
SIZE = [
    "train.runner = @runners.single()",
    "train.batch_size = 4",
    "train.steps = 3",
    "train.inner_steps = 1",
    "size = 64",
    "evaluate.train_limit = 40",
    "evaluate.test_limit = 20",
]
STAGES = ("pretrain", "linear", "finetune_1pct", "finetune_10pct")


@pytest.mark.slow
def test_from_pretraining_to_few_labels(shared_data, tmp_path):
    command = [sys.executable, "-m", "sslkit", "train", "--gin", "gin/fnc_r50_full.gin"]
    command += ["--workdir", str(tmp_path), "--data-dir", str(shared_data)]
    command += [word for setting in SIZE for word in ("--set", setting)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert f"all stages are finished: {', '.join(STAGES)}" in result.stdout
    checkpoints = {}
    for stage in STAGES:
        found = json.loads((tmp_path / stage / "result.json").read_text())
        assert found["step"] == 3
        protocols = {row["protocol"].partition(" ")[0] for row in found["rows"]}
        assert ("classifier" in protocols) == (stage != "pretrain")
        prefix = tmp_path / stage / "checkpoints" / "step_00000003"
        checkpoints[stage] = tf.train.load_checkpoint(str(prefix))
    # Linear evaluation leaves the encoder as pretraining left it; fine-tuning moves it.
    names = [
        name
        for name in checkpoints["pretrain"].get_variable_to_shape_map()
        if name.startswith("encoder/") and name.endswith("kernel")
    ]
    assert len(names) == 53
    for name in names:
        before, linear, tuned = (
            checkpoints[stage].get_tensor(name)
            for stage in ("pretrain", "linear", "finetune_1pct")
        )
        assert np.array_equal(before, linear)
        assert not np.array_equal(before, tuned)
