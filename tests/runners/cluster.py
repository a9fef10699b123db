"""Parsing the program that a TPUStrategy makes for the cores."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import kernels

_CLUSTER = "_tpu_replicate"
_OWN = {"TPUReplicateMetadata", "CrossReplicaSum"}
"""Operations of the TPU's own, compiled by its compiler alone."""
_COLLECTIVES = {"AllToAll", "CollectivePermute", "CrossReplicaSum"}


class Cluster:
    """The operations of one step on one core, those of called functions too.

    Attributes:
        replicas: cores that run it.
        beside: operation -> how many are outside of the cluster, on the host.
    """

    def __init__(self, graph: tf.Graph):
        """Finds the function of a graph with the replicated step."""
        library = graph.as_graph_def(add_shapes=True).library.function
        self._functions = {f.signature.name: f for f in library}
        (body,) = (
            function
            for function in library
            if any(node.op == "TPUReplicateMetadata" for node in function.node_def)
        )
        inside = [node for node in body.node_def if _CLUSTER in node.attr]
        self._nodes = list(self._walk(inside, set()))
        self.beside = collections.Counter(
            node.op for node in body.node_def if _CLUSTER not in node.attr
        )
        (metadata,) = (n for n in inside if n.op == "TPUReplicateMetadata")
        self.replicas = metadata.attr["num_replicas"].i

    @property
    def collectives(self) -> set[str]:
        """Operations by which cores communicate."""
        return {node.op for node in self._nodes} & _COLLECTIVES

    @property
    def summed(self) -> set[tf.DType]:
        """Dtypes that are summed over cores."""
        return {
            tf.as_dtype(node.attr["T"].type)
            for node in self._nodes
            if node.op == "CrossReplicaSum"
        }

    def without_kernel(self) -> set[str]:
        """Returns the operations that XLA cannot compile."""
        # XLA registers its kernels when it first compiles.
        tf.function(lambda: tf.constant(1.0) + 1.0, jit_compile=True)()
        operations = {node.op for node in self._nodes} - _OWN - set(self._functions)
        return {
            operation
            for operation in operations
            if not any(
                "XLA" in kernel.device_type
                for kernel in kernels.get_registered_kernels_for_op(operation).kernel
            )
        }

    def dynamic(self) -> list[str]:
        """Returns the operations with an output whose shape is not known."""
        return [
            f"{node.op} {node.name}"
            for node in self._nodes
            for shape in node.attr["_output_shapes"].list.shape
            if shape.unknown_rank or any(side.size < 0 for side in shape.dim)
        ]

    def _walk(self, nodes: Iterable[Any], seen: set[str]) -> Iterable[Any]:
        for node in nodes:
            yield node
            for value in node.attr.values():
                for called in (value.func, *value.list.func):
                    if called.name in self._functions and called.name not in seen:
                        seen.add(called.name)
                        function = self._functions[called.name]
                        yield from self._walk(function.node_def, seen)
