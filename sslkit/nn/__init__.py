"""Networks: ResNet, cross-replica batch normalisation, heads, the momentum twin."""

from sslkit.nn.batch_norm import BatchNorm
from sslkit.nn.convnet import ConvNet
from sslkit.nn.dropblock import DropBlock
from sslkit.nn.heads import LinearClassifier, ProjectionHead
from sslkit.nn.memory_bank import MemoryBank, Remembered
from sslkit.nn.mlp_head import MLPHead
from sslkit.nn.momentum import (
    DecaySchedule,
    MomentumTwin,
    cosine_fall,
    decay_scale,
)
from sslkit.nn.precision import full_dtype
from sslkit.nn.prototypes import Prototypes
from sslkit.nn.resnet import ResNet
from sslkit.nn.vit import ViT

__all__ = [
    "BatchNorm",
    "ConvNet",
    "DecaySchedule",
    "DropBlock",
    "LinearClassifier",
    "MLPHead",
    "MemoryBank",
    "MomentumTwin",
    "ProjectionHead",
    "Prototypes",
    "Remembered",
    "ResNet",
    "ViT",
    "cosine_fall",
    "decay_scale",
    "full_dtype",
]
