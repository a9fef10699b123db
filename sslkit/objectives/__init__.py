"""Contrastive mathematics that objectives share, and the supervised objective.

from sslkit.objectives import join_views, multi_view_nt_xent, own_columns
"""

from sslkit.objectives.contrastive import (
    gather_view_major,
    join_views,
    multi_view_nt_xent,
    own_columns,
)

__all__ = ["gather_view_major", "join_views", "multi_view_nt_xent", "own_columns"]
