"""Seeds and random numbers that depend only on what they are used for.

All seeds are derived from the run's seed: (run) -> order of an epoch; (run, step) ->
step; (run, epoch, example) -> example -> view.

Numbers for a batch of seeds are drawn together, with Threefry-2x32 written in integer
arithmetic: row i of the result depends only on row i of the seeds, and not on the place
of the row, the device, compilation or the number of replicas.

An augmentation receives its seeds. A layer does not: it calls `draw`, which knows the
seeds of the current training step.

    noise = randomness.draw(self.path, rows=x.shape[0], count=x.shape[1])
    if noise is not None:  # None outside a training step
        x = tf.where(noise < self.rate, 0.0, x / (1 - self.rate))
"""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
from collections import Counter
from collections.abc import Iterator

import tensorflow as tf

from sslkit.errors import UserError

__all__ = [
    "draw",
    "drawing",
    "example_seed",
    "host_view_seeds",
    "order_key",
    "step_seed",
    "threefry2x32",
    "uniform",
    "view_seed",
]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_ROUND_GROUPS = 5

# The second word of the counter separates the uses of one key: 0 for random numbers, 1
# for derived seeds.
_PLAIN = 0
_SEEDS = 1

# Separates example seeds from everything else that is drawn from the run's seed.
_EXAMPLE_SEEDS = 0x5EED

# Given explicitly, because the default differs between devices.
_HOST_ALGORITHM = "philox"


class _Draws:
    """The draws of the layers in one training step so far."""

    def __init__(self, step_seed: tf.Tensor, example_seeds: tf.Tensor) -> None:
        # Made here and not at first use, which may be inside a loop or a branch whose
        # tensors cannot be used outside.
        words = threefry2x32(
            tf.bitcast(example_seeds, tf.uint32),
            tf.bitcast(tf.convert_to_tensor(step_seed, tf.int32), tf.uint32),
        )
        self._seeds = tf.bitcast(words, tf.int32)
        self._calls: Counter[str] = Counter()

    def draw(self, key: str, rows: int, count: int) -> tf.Tensor:
        examples = self._seeds.shape[0]
        if rows % examples:
            raise ValueError(
                f"{key} draws for {rows} rows, which is not a multiple of the "
                f"{examples} examples of this replica"
            )
        views = rows // examples
        call = self._calls[key]
        self._calls[key] += 1
        name = hashlib.blake2s(f"{key}#{call}".encode(), digest_size=4)
        stream = int.from_bytes(name.digest(), "little")
        numbers = _numbers(self._seeds, views * count, stream=stream)
        numbers = tf.reshape(numbers, [examples, views, count])
        return tf.reshape(tf.transpose(numbers, [1, 0, 2]), [rows, count])


_current: contextvars.ContextVar[_Draws | None] = contextvars.ContextVar(
    "draws", default=None
)


@contextlib.contextmanager
def drawing(step_seed: tf.Tensor, example_seeds: tf.Tensor) -> Iterator[None]:
    """A context in which layers can draw random numbers; the training step is one.

    Args:
        step_seed: int32 [2], a function of (run seed, step), the same on all replicas.
        example_seeds: int32 [batch, 2], one per example of this replica.
    """
    token = _current.set(_Draws(step_seed, example_seeds))
    try:
        yield
    finally:
        _current.reset(token)


def draw(key: str, *, rows: int, count: int) -> tf.Tensor | None:
    """Draws random numbers for each row of a layer's input.

    A number depends on the run's seed, the step, the example, the place of the view in
    this call, the key, and the number of earlier calls with this key in the step. So
    different layers draw different numbers, and so does a layer that is called twice. A
    momentum twin has different paths, and so different numbers. A layer that is run
    again for its gradient (`tf.recompute_grad`) would draw new numbers: draw outside of
    it.

    Args:
        key: the layer's path, `self.path`.
        rows: V * batch, static; V views of this replica's examples, view-major as
            `sslkit.objectives.join_views` stacks them.
        count: numbers per row, static.

    Returns:
        float32 [rows, count] in [0, 1). None outside a training step, where nothing is
        drawn: while an objective is built, in evaluation, in an export.

    Raises:
        ValueError: if the number of rows is not a multiple of the number of examples.
    """
    draws = _current.get()
    return None if draws is None else draws.draw(key, rows, count)


def order_key(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Returns the key for the order of examples in an epoch.

    Args:
        seed: of the run, in [0, 2^31).
        epoch: int64 [] or [n].

    Returns:
        int64 [3], or [n, 3] for one key per epoch; see `sslkit.data.order.shuffle`.
    """
    first = tf.fill(tf.shape(epoch), tf.constant(_checked(seed), tf.int64))
    return tf.stack([first, epoch, tf.zeros_like(epoch)], axis=-1)


def step_seed(seed: int, step: tf.Tensor | int) -> tf.Tensor:
    """Returns the seed for numbers that are drawn once per step, for the global batch.

    Args:
        seed: of the run, in [0, 2^31).
        step: int64 [], updates done before it.

    Returns:
        int32 [2].
    """
    return _derive(tf.constant([_checked(seed), 0]), tf.cast(step, tf.int32))


def example_seed(seed: int, epoch: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Returns the seed for everything that is drawn for one example in one epoch.

    Args:
        seed: of the run, in [0, 2^31).
        epoch: int64 [].
        index: int64 [], the example's index in its source.

    Returns:
        int32 [2]; the same on every host and for every batch size.
    """
    root = tf.constant([_checked(seed), _EXAMPLE_SEEDS], tf.int32)
    for part in (epoch, index):
        root = tf.random.fold_in(root, tf.cast(part, tf.int32), alg=_HOST_ALGORITHM)
    return root


def view_seed(example_seed: tf.Tensor, view: tf.Tensor | int) -> tf.Tensor:
    """Returns the seed of one view of an example, or of many views at once.

    Args:
        example_seed: int32 [..., 2].
        view: int32 [...], the view's number among all views of the example; broadcasts
            against the leading dimensions of `example_seed`.

    Returns:
        int32 [..., 2].

    Examples:
        >>> seed = tf.constant([1, 2])
        >>> view_seed(seed, tf.range(4)).shape
        TensorShape([4, 2])
    """
    return _derive(example_seed, view)


def host_view_seeds(example_seed: tf.Tensor, count: int) -> tf.Tensor:
    """Returns the seeds for numbers of an example's views that only the host draws.

    These are the boxes of crops, which are drawn by Philox, because that is one
    operation on the host.

    Args:
        example_seed: int32 [2].
        count: how many views.

    Returns:
        int32 [count, 2].
    """
    return tf.random.stateless_uniform(
        [count, 2], example_seed, None, None, tf.int32, alg=_HOST_ALGORITHM
    )


def _derive(seed: tf.Tensor, number: tf.Tensor | int) -> tf.Tensor:
    number = tf.convert_to_tensor(number, tf.int32)
    counter = tf.stack([number, tf.fill(tf.shape(number), _SEEDS)], axis=-1)
    words = threefry2x32(tf.bitcast(seed, tf.uint32), tf.bitcast(counter, tf.uint32))
    return tf.bitcast(words, tf.int32)


def _checked(seed: int) -> int:
    if not 0 <= seed < 2**31:
        raise UserError(
            f"seed {seed} is out of range; choose one from 0 to {2**31 - 1}"
        )
    return seed


def uniform(seeds: tf.Tensor, count: int) -> tf.Tensor:
    """Draws numbers per row of a batch, in vectorised arithmetic that XLA can compile.

    Args:
        seeds: int32 [n, 2].
        count: numbers per row.

    Returns:
        float32 [n, count] in [0, 1), multiples of 2**-24. A row depends only on its own
        seed, and its first numbers do not depend on `count`.

    Examples:
        >>> seeds = tf.constant([[1, 2], [3, 4]])
        >>> both = uniform(seeds, 3)
        >>> both.shape
        TensorShape([2, 3])
        >>> bool(tf.reduce_all(both[1:] == uniform(seeds[1:], 3)))
        True
    """
    return _numbers(seeds, count, stream=_PLAIN)


def _numbers(seeds: tf.Tensor, count: int, *, stream: int) -> tf.Tensor:
    """Draws as `uniform`; streams of one seed are independent of each other."""
    key = tf.bitcast(seeds, tf.uint32)[:, tf.newaxis, :]
    blocks = tf.range((count + 1) // 2, dtype=tf.int32)
    counter = tf.stack(
        [
            tf.bitcast(blocks, tf.uint32),
            tf.fill(tf.shape(blocks), tf.constant(stream, tf.uint32)),
        ],
        axis=-1,
    )
    words = threefry2x32(key, counter[tf.newaxis])
    words = tf.reshape(words, [-1, 2 * ((count + 1) // 2)])[:, :count]
    # A float32 has 24 bits; numbers with more could be rounded up to 1.
    mantissa = tf.bitwise.right_shift(words, tf.constant(8, tf.uint32))
    return tf.cast(mantissa, tf.float32) * 2.0**-24


def threefry2x32(key: tf.Tensor, counter: tf.Tensor) -> tf.Tensor:
    """Encrypts counters with keys: Threefry-2x32, 20 rounds.

    Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), section 4.

    Args:
        key: uint32 [..., 2].
        counter: uint32 [..., 2]; the leading shapes broadcast.

    Returns:
        uint32 [..., 2], two random words.
    """
    k0, k1 = key[..., 0], key[..., 1]
    parity = tf.constant(_PARITY, tf.uint32)
    k2 = tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(k0, k1), parity)
    keys = (k0, k1, k2)
    x0, x1 = counter[..., 0] + k0, counter[..., 1] + k1
    for group in range(_ROUND_GROUPS):
        for bits in _ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = tf.bitwise.bitwise_xor(_rotate_left(x1, bits), x0)
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + keys[(group + 2) % 3] + tf.constant(group + 1, tf.uint32)
    return tf.stack([x0, x1], axis=-1)


def _rotate_left(word: tf.Tensor, bits: int) -> tf.Tensor:
    left = tf.bitwise.left_shift(word, tf.constant(bits, tf.uint32))
    right = tf.bitwise.right_shift(word, tf.constant(32 - bits, tf.uint32))
    return tf.bitwise.bitwise_or(left, right)
