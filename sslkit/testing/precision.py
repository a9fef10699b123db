"""Running a plugin in another floating-point type."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def precision(policy: str) -> Iterator[str]:
    """Sets the dtype policy of all layers made inside.

    Args:
        policy: `float32`, `float64` or `mixed_bfloat16`.

    Yields:
        The dtype of the inputs: float64 under `float64`, else float32.
    """
    before = keras.config.floatx(), keras.config.dtype_policy()
    dtype = "float64" if policy == "float64" else "float32"
    try:
        keras.config.set_floatx(dtype)
        keras.config.set_dtype_policy(policy)
        yield dtype
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])
