"""Multi-crop, and the two views of BYOL, which are made with different options."""

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
    """Two large views of an image, and small views of parts of it.

    Multi-crop is from SwAV (Caron et al. 2020, arXiv:2006.09882). The colours are those
    of BYOL (Grill et al. 2020, appendix B), as also used by DINO (Caron et al. 2021,
    arXiv:2104.14294): blur and solarisation have different probabilities for the two
    large views. Without small views it makes the two views of BYOL, Barlow Twins,
    VICReg and MoCo v3.

    The large views (`instance`) have the numbers 0 and 1, the small ones (`local`)
    those from 2 on. Evaluation uses the larger size.
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
        """Makes the groups `instance` and, unless `local` is 0, `local`.

        Args:
            size: side of the two large views, in pixels.
            area: smallest and largest area of a large crop, as a share of the image:
                from 0.14 in SwAV, and in DINO with a ResNet; from 0.4 in DINO with a
                ViT; from 0.08 in BYOL.
            local: small views per image: 6 in SwAV, 8 or 10 in DINO, 0 for none.
            local_size: side of the small views, in pixels.
            local_area: smallest and largest area of a small crop; usually it ends where
                `area` begins.
            flip: whether to mirror half of the views left to right.
            jitter: how far brightness, contrast, saturation and hue may change; four of
                five views are changed.
            gray: probability of grayscale.
            blur: probability of blur, of the first and the second large view.
            local_blur: probability of blur, of each small view.
            solarize: probability of solarisation, of the first and the second large
                view.
            kernel: how crops are resized, see `sslkit.views.Kernel`.
            placement: where all steps except crop, blur and solarisation happen:
                `host`, `device`, or `auto`, which is the device if that is an
                accelerator.

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
            # A small crop covers less than the least share in SimCLR.
            covered=0.0,
        )
