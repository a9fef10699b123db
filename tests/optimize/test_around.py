"""Optimizers around another, against plain loops over the published equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import Optimizer, UserError, Weight
from sslkit.optimize.adam import Adam
from sslkit.optimize.clipped import Clipped
from sslkit.optimize.decayed import AdamW, Decayed
from sslkit.optimize.momentum import Momentum
from sslkit.optimize.rates import ByLayer, ByPath

SHAPES = {"encoder/conv/kernel": (3, 4), "encoder/norm/gamma": (4,), "head/bias": (2,)}
STEPS, RATE = 6, 0.01
# Float64, a dozen operations per step on numbers near 1.
CLOSE = {"rtol": 1e-12, "atol": 1e-14}


def gradients(step):
    draw = np.random.default_rng([5, step])
    return {path: draw.normal(size=shape) for path, shape in SHAPES.items()}


def start():
    draw = np.random.default_rng(3)
    return {path: draw.normal(size=shape) for path, shape in SHAPES.items()}


def run(optimizer, steps=STEPS):
    """Returns the weights after some updates, in float64."""
    weights = start()
    slots = {
        p: {s: np.zeros(w.shape) for s in optimizer.slots} for p, w in weights.items()
    }
    for step in range(steps):
        count = tf.constant(step, tf.int64)
        moved = optimizer.update_all(
            {
                path: Weight(
                    tf.constant(weights[path]),
                    tf.constant(gradient),
                    {name: tf.constant(value) for name, value in slots[path].items()},
                    rate=tf.constant(RATE, tf.float64),
                    updates=count,
                )
                for path, gradient in gradients(step).items()
            },
            step=count,
            steps=STEPS,
        )
        weights = {path: new.value.numpy() for path, new in moved.items()}
        slots = {
            path: {name: value.numpy() for name, value in new.slots.items()}
            for path, new in moved.items()
        }
    return weights


def coefficient(first, last, step):
    return last + (first - last) * (1 + math.cos(math.pi * step / STEPS)) / 2


def test_adamw_with_a_decay_that_rises():
    weights, mean, square = start(), {}, {}
    for step in range(STEPS):
        decay = coefficient(0.04, 0.4, step)
        for path, gradient in gradients(step).items():
            mean[path] = 0.9 * mean.get(path, 0) + 0.1 * gradient
            square[path] = 0.95 * square.get(path, 0) + 0.05 * gradient**2
            m = mean[path] / (1 - 0.9 ** (step + 1))
            hat = 1e-8 / math.sqrt(1 - 0.95 ** (step + 1))
            v = np.sqrt(square[path] / (1 - 0.95 ** (step + 1)))
            move = m / (v + hat)
            if path == "encoder/conv/kernel":
                move = move + decay * weights[path]
            weights[path] = weights[path] - RATE * move
    made = run(AdamW(beta2=0.95, weight_decay=0.04, final_weight_decay=0.4))
    for path, wanted in weights.items():
        # 0.95 and 1 - 0.95 are each rounded once; their powers cancel.
        np.testing.assert_allclose(made[path], wanted, rtol=1e-10, err_msg=path)


def test_sgd_with_a_decay_that_rises():
    weights, velocity = start(), {path: 0.0 for path in SHAPES}
    for step in range(STEPS):
        decay = coefficient(0.1, 0.3, step)
        for path, gradient in gradients(step).items():
            if path == "encoder/conv/kernel":
                gradient = gradient + decay * weights[path]
            velocity[path] = 0.9 * velocity[path] + gradient
            weights[path] = weights[path] - RATE * velocity[path]
    made = run(
        Decayed(
            of=Momentum(nesterov=False),
            weight_decay=0.1,
            final_weight_decay=0.3,
            decoupled=False,
        )
    )
    for path, wanted in weights.items():
        np.testing.assert_allclose(made[path], wanted, **CLOSE, err_msg=path)


def test_a_decay_without_an_end_stays():
    """It is then what the optimizer's own option does."""
    for of, own, decoupled in (
        (Momentum(), Momentum(weight_decay=0.2), False),
        (Adam(), Adam(weight_decay=0.2, decoupled=True), True),
    ):
        around = Decayed(
            of=of,
            weight_decay=0.2,
            decoupled=decoupled,
            no_decay=[r"(^|/)(gamma|beta)$"],
        )
        made, wanted = run(around), run(own)
        for path in SHAPES:
            # The same operations; 0.2 is a tensor in one and a number in the other.
            np.testing.assert_allclose(made[path], wanted[path], **CLOSE)


@pytest.mark.parametrize("by", ["global", "weight"])
def test_clips_by_the_norm(by):
    weights, clipped = start(), 0
    for step in range(STEPS):
        found = gradients(step)
        together = math.sqrt(sum(float(np.sum(g**2)) for g in found.values()))
        for path, gradient in found.items():
            norm = together if by == "global" else float(np.linalg.norm(gradient))
            clipped += norm > 2.0
            weights[path] = weights[path] - RATE * gradient * min(1.0, 2.0 / norm)
    made = run(Clipped(of=Momentum(momentum=0.0, nesterov=False), norm=2.0, by=by))
    for path, wanted in weights.items():
        np.testing.assert_allclose(made[path], wanted, **CLOSE, err_msg=path)
    # By each weight's own norm some are clipped and some are not.
    every = STEPS * len(SHAPES)
    assert clipped == every if by == "global" else 0 < clipped < every


def test_no_gradient_is_clipped_to_none():
    zero = Weight(tf.ones([2]), tf.zeros([2]), {}, tf.constant(0.1), tf.constant(0))
    of = Clipped(of=Momentum(), norm=1.0)
    zero = zero._replace(slots={"momentum": tf.zeros([2])})
    moved = of.update_all({"w": zero}, step=tf.constant(0, tf.int64), steps=1)
    assert moved["w"].value.numpy().tolist() == [1, 1]


def test_rates_by_path():
    plain = Momentum(momentum=0.0, nesterov=False)
    made = run(ByPath(of=plain, rates={"^head/": 0.1, "gamma$": 0.0}), steps=1)
    factor = {"encoder/conv/kernel": 1, "encoder/norm/gamma": 0, "head/bias": 0.1}
    for path, gradient in gradients(0).items():
        wanted = start()[path] - RATE * factor[path] * gradient
        np.testing.assert_allclose(made[path], wanted, **CLOSE, err_msg=path)


VIT = [
    "encoder/patches/kernel",
    "encoder/token",
    *(f"encoder/block_{n}/qkv/kernel" for n in range(12)),
    "encoder/norm/gamma",
    "classifier/kernel",
]


def test_rates_by_layer_are_those_of_the_published_loop():
    """As MAE's `get_layer_id_for_vit`: layer n of 12 + 1 has decay^(13 - n)."""
    layerwise = ByLayer(of=Adam(), decay=0.75)
    layerwise.check(VIT)
    layer = {"encoder/patches/kernel": 0, "encoder/token": 0}
    layer |= {f"encoder/block_{n}/qkv/kernel": n + 1 for n in range(12)}
    factors = layerwise.factors(VIT)
    for path in VIT:
        assert factors[path] == pytest.approx(0.75 ** (13 - layer.get(path, 13)))


def test_the_decay_goes_by_the_rate_of_its_layer():
    plain = Momentum(momentum=0.0, nesterov=False)
    made = run(ByPath(of=Decayed(of=plain, weight_decay=1.0), rates={"conv": 0.5}), 1)
    path = "encoder/conv/kernel"
    wanted = start()[path] - 0.5 * RATE * (gradients(0)[path] + start()[path])
    np.testing.assert_allclose(made[path], wanted, **CLOSE)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: ByPath(of=Adam(), rates={"hed/": 0.1}),
            "ByPath: rates: the pattern 'hed/' matches none of the 16 weights",
        ),
        (
            lambda: ByLayer(of=Adam(), decay=0.5, blocks=r"^encoder/layer(\d+)/"),
            "ByLayer: blocks: the pattern .* matches none",
        ),
        (
            lambda: ByLayer(of=Adam(), decay=0.5, first=["^encoder/stem/"]),
            "ByLayer: first: the pattern .* matches none",
        ),
        (
            lambda: ByLayer(of=Adam(), decay=0.5, blocks="block"),
            "ByLayer: blocks is 'block'; wanted a pattern with one group",
        ),
        (
            lambda: AdamW(no_decay=["positions"]),
            "AdamW: no_decay: the pattern 'positions' matches none",
        ),
        # The wrapped optimizer is checked, too.
        (
            lambda: Clipped(of=Momentum(no_decay=["positions"]), norm=1.0),
            "Momentum: no_decay: the pattern 'positions' matches none",
        ),
    ],
)
def test_patterns_that_match_no_weight_are_refused(make, said):
    with pytest.raises(UserError, match=said):
        make().check(VIT)


@pytest.mark.parametrize("own", [(), ("update_all",)])
def test_update_says_why_it_is_not_there(own):
    made = type("Mine", (Optimizer,), dict.fromkeys(own, lambda self, *_, **__: {}))()
    said = "call update_all" if own else "implements neither update nor update_all"
    zero = tf.zeros([])
    with pytest.raises(NotImplementedError, match=f"Mine .*{said}"):
        made.update(zero, zero, {}, path="w", rate=zero, step=tf.zeros([], tf.int64))
