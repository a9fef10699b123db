"""README.md: what CI takes from it, and its Python.

`test_documents.py` looks at its commands and links.
"""

from __future__ import annotations

import subprocess

import documents
import pytest

from sslkit.testing import laws_of, style_laws_of

PAGE = documents.REPOSITORY / "README.md"
PYTHON = [block.text for block in documents.blocks(PAGE) if block.language == "python"]


def block_with(words: str) -> str:
    (code,) = (text for text in PYTHON if words in text)
    return code


NAMES: dict[str, object] = {"__name__": "readme"}
exec(compile(block_with("class Mine"), "README.md", "exec"), NAMES)


@pytest.mark.parametrize("mark", ["install", "test"])
def test_ci_finds_the_command(mark):
    """As `.ci/run` looks for it."""
    script = (documents.REPOSITORY / ".ci" / "run").read_text()
    function = script[script.index("readme() {") : script.index("step() {")]
    found = subprocess.run(
        ["bash", "-euc", f"{function}\nreadme {mark}"],
        cwd=documents.REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (block,) = (one for one in documents.blocks(PAGE) if one.mark == mark)
    assert found == block.text
    assert len(documents.lines(block)) == 1


def judged():
    for law in style_laws_of(NAMES["Mine"]):
        yield pytest.param(law, id=law.name)
    for law in laws_of(NAMES["Mine"]):
        yield pytest.param(law, id=law.name, marks=pytest.mark.slow)


@pytest.mark.parametrize("law", list(judged()))
def test_the_objective_it_shows_passes(law):
    law()


def test_the_objective_it_shows_is_a_whole_one():
    import tensorflow as tf

    from sslkit.api import Batch, Views
    from sslkit.nn import ConvNet

    objective = NAMES["Mine"](lambda name: ConvNet(filters=(4,), name=name))
    views = {"instance": tf.random.stateless_uniform([2, 4, 8, 8, 3], seed=[0, 1])}
    batch = Batch(Views.of(views).stacks, tf.zeros([4], tf.int32))
    assert float(objective(batch, step=tf.constant(0, tf.int64)).loss) > 0


def test_the_training_it_shows_trains(tmp_path, monkeypatch, capsys):
    code = block_with("sslkit.train(")
    monkeypatch.chdir(tmp_path)
    # The same but shorter: one update of a narrow network.
    small = "['train.steps = 1', 'backbones.convnet.filters = (4,)', "
    small += "'train.batch_size = 8', 'augmentations.fnc.strength = 0', "
    small += "'augmentations.fnc.randaugment_layers = 0', "
    small += "'evaluate.train_limit = 50', 'evaluate.linear = False', "
    # Steps and epochs together are refused.
    code = code.replace('"train.epochs = 1", ', "").replace("set=[", f"set={small}")
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "1 True" in printed
    assert "kNN (k=20, T=0.07) 0." in printed
    assert (tmp_path / "runs" / "from_python" / "result.json").exists()
