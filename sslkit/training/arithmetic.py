"""How a run computes: precision, TF32, and whether results repeat to the bit."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.python.framework import config

from sslkit.api import UserError
from sslkit.nn.precision import Precision
from sslkit.runners import gpus

XLA_FLAGS = (
    "--xla_gpu_deterministic_ops=true",
    "--xla_gpu_exclude_nondeterministic_ops=true",
    # Without it, kernels are chosen by timing, and the next process may vary.
    "--xla_gpu_autotune_level=0",
)
"""XLA flags with which a program gives the same bits each time on a GPU."""


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """How the numbers of a run are computed.

    Attributes:
        precision: the type in which the network's layers multiply.
        tf32: whether a GPU may round the factors of float32 products to TF32.
        deterministic: whether to use only operations that give the same bits each time.
    """

    precision: Precision
    tf32: bool
    deterministic: bool

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Applies the settings, and undoes afterwards what can be undone.

        TF32 and determinism are settings of the whole process. Enter this context
        before TensorFlow starts its devices. It may be nested.

        Raises:
            UserError: if a GPU has already started without what determinism needs.
        """
        before = (
            tf.config.experimental.tensor_float_32_execution_enabled(),
            config.is_op_determinism_enabled(),
        )
        self.take()
        try:
            yield
        finally:
            _set(*before)

    def take(self) -> None:
        """Applies the settings, in a process that does nothing else.

        Raises:
            UserError: as `held`.
        """
        if self.deterministic:
            _tell_xla()
        _set(self.tf32, self.deterministic or config.is_op_determinism_enabled())

    def describe(self, strategy: tf.distribute.Strategy) -> str:
        """Returns the settings in words, for the first lines of a run.

        Args:
            strategy: the devices of the run.
        """
        said = ["float32"]
        if self.precision == "bfloat16":
            said = ["bfloat16 in the network, float32 in weights, statistics and loss"]
        devices = " ".join(strategy.extended.worker_devices).upper()
        if "GPU" in devices:
            said += [
                "float32 products in TF32 (10 bits of 23) where the GPU has it"
                if self.tf32
                else "TF32 off"
            ]
        if "TPU" in devices:
            said += ["a TPU multiplies float32 in bfloat16"]
        if self.deterministic:
            said += ["deterministic"]
        elif "GPU" in devices:
            said += ["bits may differ from run to run"]
        return "; ".join(said)


def _set(tf32: bool, deterministic: bool) -> None:
    if tf32 != tf.config.experimental.tensor_float_32_execution_enabled():
        tf.config.experimental.enable_tensor_float_32_execution(tf32)
    if deterministic and not config.is_op_determinism_enabled():
        tf.config.experimental.enable_op_determinism()
    elif not deterministic and config.is_op_determinism_enabled():
        # TensorFlow has no public function to turn it off again, which a notebook
        # needs.
        config.disable_op_determinism()


def _tell_xla() -> None:
    """Sets XLA's flags, which it reads once, if there is a GPU that needs them.

    Raises:
        UserError: if XLA may have read them already.
    """
    flags = os.environ.get("XLA_FLAGS", "").split()
    missing = [flag for flag in XLA_FLAGS if flag not in flags]
    if not missing or not gpus.there():
        return
    if context.context()._initialized:
        raise UserError(
            "train.deterministic is set, and TensorFlow has started its GPUs in this "
            f"process without it. Start a new process, or set XLA_FLAGS="
            f"'{' '.join(XLA_FLAGS)}' before TensorFlow is imported."
        )
    os.environ["XLA_FLAGS"] = " ".join([*flags, *missing])
