"""What the FNC objective refuses, and its messages."""

from __future__ import annotations

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import UserError, Views

_spec = importlib.util.spec_from_file_location(
    "fnc_tiny", pathlib.Path(__file__).with_name("tiny.py")
)
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)

REFUSED = [
    ({"support": -1}, "support is -1; it must be a whole number, 0 or more"),
    ({"temperature": 0.0}, "temperature is 0.0; it must be a number above 0"),
    ({"temperature": -0.1}, "temperature is -0.1; it must be a number above 0"),
    ({"temperature": float("nan")}, "temperature is nan; it must be a number above 0"),
    ({"topk": 0}, "topk is 0; it must be a whole number, 1 or more, or None"),
    ({"threshold": 1.5}, r"threshold is 1.5; it must be a number in \[-1, 1\]"),
    ({"threshold": -1.01}, r"threshold is -1.01; it must be a number in \[-1"),
    ({"topk": None, "threshold": None}, "topk and threshold are both None"),
    (
        {"detection": "quantile", "quantile": 1.0},
        r"quantile is 1.0; it must be .* \[0, 1\)",
    ),
    (
        {"detection": "quantile", "quantile": 0.99},
        "quantile is 0.99, which leaves none of the 26 candidates",
    ),
    (
        {"detection": "top"},
        "detection is 'top'; it must be 'topk', 'quantile', 'glofnd'",
    ),
    (
        {"bank": 3},
        "bank is 3 global batches; each step writes 4 views of every image, so it must "
        r"be 0 or at least 4\. Set objectives\.fnc\.bank = 4, or lower objectives\.fnc",
    ),
    ({"bank": 1, "support_role": "support"}, "0 or at least 2"),
    ({"decay": 1.5}, r"decay is 1.5; it must be a number in \[0, 1\]"),
    ({"block": -1}, "block is -1"),
    ({"aggregate": "min"}, "aggregate is 'min'; it must be 'max' or 'mean'"),
    ({"support_role": "views"}, "support_role is 'views'; it must be 'anchors'"),
    ({"support_encoder": "x"}, "support_encoder is 'x'; it must be 'online'"),
    ({"false_negatives": "drop"}, "false_negatives is 'drop'; it must be 'attract'"),
    ({"bank_fill": "ones"}, "bank_fill is 'ones'; it must be 'zeros' or 'lazy'"),
    ({"decay_schedule": "linear"}, "decay_schedule is 'linear'; it must be 'constant'"),
    ({"momentum_init": "zeros"}, "momentum_init is 'zeros'; it must be 'random'"),
    # Known once the batch is: 5 x 6 rows of which 4 show the image itself.
    ({"topk": 27}, "topk is 27, and an image has only 26 candidates"),
    ({"topk": 21, "bank": 0}, "topk is 21, and an image has only 20 candidates"),
    ({"images": 1}, "the global batch is 1 image"),
    ({"images": 1, "bank": 0}, "the global batch is 1 image"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_is_refused_while_it_is_built(options, message):
    with pytest.raises(UserError, match=rf"^(FNC\.|fnc: .*){message}"):
        tiny.build(**options)


def test_as_many_as_there_are_is_fine():
    tiny.build(topk=26)
    tiny.build(topk=20, bank=0)


def test_a_schedule_needs_the_length_of_the_run():
    objective = tiny.build(decay_schedule="cosine")
    with pytest.raises(UserError, match="length of the run is not known"):
        objective.after_update(step=tf.constant(0, tf.int64))


@pytest.mark.parametrize("block", [0, 7])
@pytest.mark.parametrize("bank", [0, 5])
@pytest.mark.parametrize("mode", ["attract", "eliminate", "ignore"])
def test_a_broken_embedding_breaks_the_loss(mode, bank, block):
    """The training loop stops at a loss that is not finite, so NaN must reach it."""
    objective = tiny.build(false_negatives=mode, bank=bank, block=block)
    batch = tiny.batch(objective, 0)
    views = {group: stack.numpy() for group, stack in batch.views.items()}
    views["instance"][1, 2] = np.nan
    stacks = Views.of({g: tf.constant(stack) for g, stack in views.items()}).stacks
    loss = objective(batch._replace(stacks=stacks), step=tf.constant(0, tf.int64)).loss
    assert np.isnan(loss)
