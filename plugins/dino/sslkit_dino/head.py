"""The head of student and teacher."""

from __future__ import annotations

from sslkit.nn import MLPHead


def projection(*, hidden: int, dim: int, norm: bool) -> MLPHead:
    """Returns the head before the scores (Caron et al. 2021, appendix C).

    Args:
        hidden: width of its two hidden layers.
        dim: width of its output, which has length 1.
        norm: whether it has batch normalisation.
    """
    return MLPHead(
        layers=3,
        hidden=hidden,
        dim=dim,
        norm=norm,
        bias=True,
        last_bias=True,
        activation="gelu",
        start="wide",
        unit=True,
        name="projection",
    )
