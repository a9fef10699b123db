"""Multi-crop, and the two views of BYOL: views that are treated differently."""

from __future__ import annotations

from sslkit.api import (
    NonNegativeInt,
    PositiveInt,
    Share,
    ViewGroup,
    checked,
)
from sslkit.views import crop
from sslkit.views.contrastive import Area, ContrastiveViews, Placement, Reach


class MultiCrop(ContrastiveViews):
    """Two large views of an image and some small ones of parts of it.

    Multi-crop is from SwAV (Caron et al. 2020, arXiv:2006.09882); the colours, with a
    blur and a solarisation that treat the two large views differently, are those of
    BYOL (Grill et al. 2020, appendix B), as DINO (Caron et al. 2021, arXiv:2104.14294)
    takes them over. Without small views it makes the two views that BYOL, Barlow Twins,
    VICReg and MoCo v3 publish.

    The views are numbered 0 and 1, the large ones (`instance`), then 2 and so on, the
    small ones (`local`). Evaluation shows images in the larger size.
    """

    @checked
    def __init__(
        self,
        *,
        size: PositiveInt = 224,
        area: Area = (0.14, 1.0),
        local: NonNegativeInt = 6,
        local_size: PositiveInt = 96,
        local_area: Area = (0.05, 0.14),
        flip: bool = True,
        jitter: tuple[Reach, Reach, Reach, Reach] = (0.4, 0.4, 0.2, 0.1),
        gray: Share = 0.2,
        blur: tuple[Share, Share] = (1.0, 0.1),
        local_blur: Share = 0.5,
        solarize: tuple[Share, Share] = (0.0, 0.2),
        kernel: crop.Kernel = "legacy",
        placement: Placement = "auto",
    ) -> None:
        """Makes the groups `instance` and, where wanted, `local`.

        Args:
            size: side of the two large views, in pixels.
            area: smallest and largest share of the image that a large crop takes: from
                0.14 in SwAV, and in DINO with a ResNet; from 0.4 in DINO with a ViT;
                from 0.08 in BYOL.
            local: small views of an image: 6 in SwAV, 8 or 10 in DINO, 0 for none.
            local_size: side of the small views, in pixels.
            local_area: likewise of a small crop: up to where `area` begins.
            flip: whether to mirror half of the views left to right.
            jitter: how far brightness, contrast, saturation and hue may change, in four
                of five views.
            gray: probability of grayscale.
            blur: probability of blur, of the first and the second large view.
            local_blur: likewise, of each small view.
            solarize: probability of solarisation, of the first and the second large
                view.
            kernel: how crops are resized, see `sslkit.views.Kernel`.
            placement: where all but crop, blur and solarisation happens: `host`,
                `device`, or `auto`, on the device where that is an accelerator.

        Raises:
            UserError: for an impossible area.
        """
        super().__init__(
            groups={
                "instance": ViewGroup(2, size),
                "local": ViewGroup(local, local_size),
            },
            area={"instance": area, "local": local_area},
            flip=flip,
            strength=jitter,
            randaugment=None,
            gray=gray,
            blur=(*blur, *[local_blur] * local),
            solarize=(*solarize, *[0.0] * local),
            kernel=kernel,
            placement=placement,
            # A small crop covers less than SimCLR's least.
            covered=0.0,
        )
