"""Views: stateless, seeded image operations and the augmentations made of them."""

from sslkit.views.augmentations import CropFlip
from sslkit.views.blur import gaussian_blur, random_blur
from sslkit.views.color import draw_jitter, grayscale, random_jitter
from sslkit.views.contrastive import ContrastiveViews
from sslkit.views.crop import (
    Kernel,
    crop_and_resize,
    evaluation_view,
    random_box,
    random_flip,
    random_resized_crop,
    to_uint8,
)
from sslkit.views.draws import uniform, view_seed
from sslkit.views.groups import check_groups, make_views
from sslkit.views.randaugment import RandAugment

__all__ = [
    "ContrastiveViews",
    "CropFlip",
    "Kernel",
    "RandAugment",
    "check_groups",
    "crop_and_resize",
    "draw_jitter",
    "evaluation_view",
    "gaussian_blur",
    "grayscale",
    "make_views",
    "random_blur",
    "random_box",
    "random_flip",
    "random_jitter",
    "random_resized_crop",
    "to_uint8",
    "uniform",
    "view_seed",
]
