"""The plan of one run: what it computes and holds, and its time on each device."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence

import tensorflow as tf

from sslkit.data.batches import TrainingBatch
from sslkit.plan.counting import Cost, cost
from sslkit.plan.devices import Device
from sslkit.plan.throughput import host_rate
from sslkit.training.run import Training

_FEW_VIEWS = 16
"""With fewer views per replica, its matrix units wait more than they work."""
_HOST_CORES = 96
"""Cores of the hosts that are rented with eight GPUs or with TPU v3 chips."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run needs on any device; bytes and operations are those of one step."""

    steps: int
    images: int
    """Images of the whole run; an image counts once per epoch."""
    views: int
    """Views of these images."""
    epochs: float
    replicas: int
    views_per_step: int
    """Views in a global batch."""
    parameters: int
    """Numbers that the optimizer changes."""
    state_bytes: int
    """Weights, optimizer, momentum twin and memory bank, on each replica."""
    bank_bytes: int
    """The part of the state that is neither trained nor of the optimizer: memory banks,
    momentum twins, statistics."""
    input_bytes: int
    """Size of a global batch of uint8 views, which the host sends to the devices."""
    replica: Cost
    """The cost of one step on one replica."""
    bfloat16: bool
    """Whether most of the arithmetic is in bfloat16."""
    tf32: bool
    """Whether a GPU may do the rest in TensorFloat-32."""
    views_per_core: float | None
    """Views per second that one core of this machine makes of the data; None if it was
    not measured."""

    @property
    def flops(self) -> float:
        """Operations of one step on all replicas."""
        return self.replica.flops * self.replicas


@dataclasses.dataclass(frozen=True)
class Outlook:
    """The estimate of a plan for one kind of device."""

    device: Device
    utilisation: float
    step_seconds: float
    hours: float
    memory_needed: float
    """Bytes per replica: state, views and what the backward pass must keep."""
    memory_traced: float
    """Bytes per replica if no operations are fused and no activation is computed twice
    to save memory."""
    host_views: float
    """Views per second that one host must make."""
    host_bytes: float
    """Bytes per second that one host must send to its devices."""
    breaks: str
    """What fails first; empty if nothing does."""


def plan(training: Training, *, host_seconds: float = 0.0) -> Plan:
    """Builds the state of a run, traces its step and counts it; trains nothing.

    Args:
        training: the run, with a `PlaceholderRunner`.
        host_seconds: how long to measure how fast this machine makes views; 0 does not
            measure it.

    Raises:
        UserError: if the state cannot be built, or a shape is not static.
    """
    replicas = training.runner.strategy.num_replicas_in_sync
    state = training.state
    graph = _traced(training, training.batch_size // replicas).graph
    groups = training.augmentation.groups.values()
    views = sum(group.count for group in groups)
    rate = None
    if host_seconds:
        rate = host_rate(training, seconds=host_seconds) / (os.cpu_count() or 1)
    sizes = {
        name: math.prod(variable.shape) * tf.as_dtype(variable.dtype).size
        for name, variable in state.table.items()
    }
    trained = {
        name
        for name in sizes
        if name in state.trainable or name.startswith("optimizer/")
    }
    return Plan(
        steps=training.steps,
        images=training.steps * training.batch_size,
        views=training.steps * training.batch_size * views,
        epochs=training.steps * training.batch_size / training.source.size,
        replicas=replicas,
        views_per_step=training.batch_size * views,
        parameters=state.parameters,
        state_bytes=sum(sizes.values()),
        bank_bytes=sum(size for name, size in sizes.items() if name not in trained),
        input_bytes=training.batch_size
        * sum(group.count * group.size**2 * 3 for group in groups),
        replica=cost(graph),
        bfloat16=_mostly_bfloat16(graph),
        tf32=training.arithmetic.tf32,
        views_per_core=rate,
    )


def outlook(found: Plan, device: Device, *, utilisation: float | None) -> Outlook:
    """Estimates a run on one kind of device.

    Args:
        found: the plan.
        device: the device of each replica.
        utilisation: share of the peak that training reaches; None for the device's
            default.
    """
    share = utilisation if utilisation is not None else device.utilisation
    peak = device.flops_bfloat16 if found.bfloat16 else device.flops
    if device.flops_without_tf32 and not found.bfloat16 and not found.tf32:
        peak = device.flops_without_tf32
    seconds = found.replica.flops / (peak * share)
    hosts = math.ceil(found.replicas / device.per_host)
    inputs = found.input_bytes / found.replicas
    needed = found.state_bytes + inputs + found.replica.kept_bytes
    result = Outlook(
        device=device,
        utilisation=share,
        step_seconds=seconds,
        hours=seconds * found.steps / 3600,
        memory_needed=needed,
        memory_traced=found.state_bytes + inputs + found.replica.live_bytes,
        host_views=found.views_per_step / hosts / seconds,
        host_bytes=found.input_bytes / hosts / seconds,
        breaks="",
    )
    return dataclasses.replace(result, breaks=_breaks(found, result))


def _breaks(found: Plan, on: Outlook) -> str:
    memory = on.memory_needed / on.device.memory
    if memory > 1:
        # Twice the replicas halve the activations but not the state.
        return f"memory: {memory:.1f} times what a replica has; use more replicas"
    if found.views_per_core is not None:
        host = on.host_views / (found.views_per_core * _HOST_CORES)
        if host > 1:
            return (
                f"host: {host:.1f} times what {_HOST_CORES} cores like these make; "
                "use more hosts, data.service, or the device for views on the host"
            )
    views = found.views_per_step // found.replicas
    if views < _FEW_VIEWS:
        return f"batch too small: {views} views per replica; use fewer replicas"
    if on.memory_traced > on.device.memory:
        return (
            "memory is tight: the run fits only if XLA fuses operations or computes "
            "activations twice"
        )
    return ""


def _traced(training: Training, images: int) -> tf.types.experimental.ConcreteFunction:
    spec = TrainingBatch(
        views={
            name: tf.TensorSpec([images, count, size, size, 3], tf.uint8)
            for name, (count, size) in training.augmentation.groups.items()
        },
        label=tf.TensorSpec([images], tf.int32),
        example_seeds=tf.TensorSpec([images, 2], tf.int32),
        index=tf.TensorSpec([images], tf.int32),
    )
    step, strategy = training.train_step(), training.runner.strategy

    @tf.function
    def traced(batch: TrainingBatch) -> dict[str, tf.Tensor]:
        with strategy.scope():
            return step(batch)

    return traced.get_concrete_function(spec)


def _mostly_bfloat16(graph: tf.Graph) -> bool:
    dtypes: Sequence[tf.DType] = [
        operation.outputs[0].dtype
        for operation in graph.get_operations()
        if operation.type in ("Conv2D", "MatMul")
    ]
    return sum(dtype == tf.bfloat16 for dtype in dtypes) * 2 > len(dtypes)
