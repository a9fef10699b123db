"""The reporters of the core: the metrics file, TensorBoard, Weights & Biases."""

from __future__ import annotations

from sslkit.reporters.accuracies import accuracies
from sslkit.reporters.metrics_file import MetricsFile
from sslkit.reporters.tensorboard import TensorBoard

__all__ = ["MetricsFile", "TensorBoard", "accuracies"]
