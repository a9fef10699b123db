"""Views: image operations that depend only on seeds, and augmentations made of them."""

from sslkit.randomness import uniform, view_seed
from sslkit.views.augmentations import CropFlip
from sslkit.views.blur import gaussian_blur, random_blur
from sslkit.views.color import apply_jitter, draw_jitter, grayscale
from sslkit.views.contrastive import ContrastiveViews, Placement, Strength
from sslkit.views.crop import (
    Kernel,
    crop_and_resize,
    evaluation_view,
    mirror,
    random_box,
    random_crops,
    to_uint8,
)
from sslkit.views.groups import check_groups, split_views
from sslkit.views.multi_crop import MultiCrop
from sslkit.views.randaugment import RandAugment

__all__ = [
    "ContrastiveViews",
    "CropFlip",
    "Kernel",
    "MultiCrop",
    "Placement",
    "RandAugment",
    "Strength",
    "apply_jitter",
    "check_groups",
    "crop_and_resize",
    "draw_jitter",
    "evaluation_view",
    "gaussian_blur",
    "grayscale",
    "mirror",
    "random_blur",
    "random_box",
    "random_crops",
    "split_views",
    "to_uint8",
    "uniform",
    "view_seed",
]
