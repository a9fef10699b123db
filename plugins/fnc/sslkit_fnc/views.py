"""The views of false negative cancellation: instance views and support views."""

from __future__ import annotations

from typing import Annotated

from sslkit.api import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    PositiveShare,
    Range,
    Share,
    ViewGroup,
    checked,
)
from sslkit.views import (
    ContrastiveViews,
    Kernel,
    Placement,
    RandAugment,
    Strength,
)


class FNCViews(ContrastiveViews):
    """SimCLR's views with RandAugment, and support views made the same way.

    Huynh et al., "Boosting contrastive self-supervised learning with false negative
    cancellation", arXiv:2011.11765, as in its released code.
    """

    @checked
    def __init__(
        self,
        *,
        size: PositiveInt = 224,
        views: NonNegativeInt = 2,
        support: NonNegativeInt = 8,
        strength: Strength = 1.0,
        area_min: PositiveShare = 0.08,
        flip: bool = True,
        randaugment_layers: NonNegativeInt = 2,
        randaugment_magnitude: Annotated[float, Range(0, 10)] = 7,
        translate: NonNegativeFloat = 100,
        cutout: NonNegativeFloat = 40,
        gray: Share = 0.2,
        blur: bool = True,
        kernel: Kernel = "legacy",
        placement: Placement = "auto",
    ) -> None:
        """Makes the groups `instance` and, unless empty, `support`.

        Args:
            size: side of the views, in pixels.
            views: instance views per image.
            support: support views per image; 0 for none.
            strength: of the colour jitter; with 1, brightness, contrast and saturation
                change by up to 80% and the hue by up to a fifth of the colour circle; 0
                for none.
            area_min: smallest area of a crop, as a share of the image.
            flip: whether to mirror half of the views; not for digits or text.
            randaugment_layers: operations of RandAugment per view; 0 for none.
            randaugment_magnitude: their common magnitude, 0 to 10.
            translate: their shift at magnitude 10, in pixels. Scale it with `size`.
            cutout: half the side of their cut square at magnitude 10, in pixels. Scale
                it with `size`.
            gray: probability of grayscale.
            blur: whether to blur half of the views. Views under 20 pixels stay sharp.
            kernel: how crops are resized: "legacy", the published one, or "modern".
            placement: where all steps except crop and blur happen: on the "device",
                with the training; on the "host", with the reading; or "auto": on the
                device if that is a GPU or a TPU, and else on the host.

        Raises:
            UserError: if an argument is out of its range.
        """
        policy = RandAugment(
            layers=randaugment_layers,
            magnitude=randaugment_magnitude,
            translate=translate,
            cutout=cutout,
        )
        super().__init__(
            groups={
                "instance": ViewGroup(views, size),
                "support": ViewGroup(support, size),
            },
            area=(area_min, 1.0),
            flip=flip,
            strength=strength,
            randaugment=policy if randaugment_layers else None,
            gray=gray,
            blur=blur,
            kernel=kernel,
            placement=placement,
        )
