"""Functions that contrastive objectives share, and the supervised objective.

from sslkit.objectives import gather_view_major, multi_view_nt_xent
"""

from sslkit.objectives.blocks import block_size
from sslkit.objectives.contrastive import info_nce, multi_view_nt_xent
from sslkit.objectives.layout import (
    check_contrast,
    each_view,
    gather_labels,
    gather_view_major,
    join_sizes,
    join_views,
    own_columns,
    unit_views,
)
from sslkit.objectives.prediction import cross_view_entropy
from sslkit.objectives.scoring import Scores
from sslkit.objectives.selection import Computed, Listed, Selection

__all__ = [
    "Computed",
    "Listed",
    "Scores",
    "Selection",
    "block_size",
    "check_contrast",
    "cross_view_entropy",
    "each_view",
    "gather_labels",
    "gather_view_major",
    "info_nce",
    "join_sizes",
    "join_views",
    "multi_view_nt_xent",
    "own_columns",
    "unit_views",
]
