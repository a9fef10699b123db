"""SimCLR's views of an image."""

from __future__ import annotations

from sslkit.api import PositiveInt, PositiveShare, Share, ViewGroup, checked
from sslkit.views import ContrastiveViews, Kernel, Placement, Strength


class SimCLRViews(ContrastiveViews):
    """Crop, mirror, colour jitter, grayscale and blur (Chen et al. 2020, appendix A).

    Chen et al., "A simple framework for contrastive learning of visual
    representations", arXiv:2002.05709. For CIFAR-10 they use size 32, strength 0.5 and
    no blur.
    """

    @checked
    def __init__(
        self,
        *,
        size: PositiveInt = 224,
        views: PositiveInt = 2,
        strength: Strength = 1.0,
        area_min: PositiveShare = 0.08,
        flip: bool = True,
        gray: Share = 0.2,
        blur: bool = True,
        kernel: Kernel = "legacy",
        placement: Placement = "auto",
    ) -> None:
        """Makes the group `instance`.

        Args:
            size: side of the views, in pixels.
            views: views per image.
            strength: of the colour jitter; with 1, brightness, contrast and saturation
                change by up to 80% and the hue by up to a fifth of the colour circle; 0
                for none.
            area_min: smallest area of a crop, as a share of the image.
            flip: whether to mirror half of the views; not for digits or text.
            gray: probability of grayscale.
            blur: whether to blur half of the views. Views under 20 pixels stay sharp.
            kernel: how crops are resized: "legacy", the published one, or "modern".
            placement: where all steps except crop and blur happen: on the "device",
                with the training; on the "host", with the reading; or "auto": on the
                device if that is a GPU or a TPU, and else on the host.

        Raises:
            UserError: if an argument is out of its range.
        """
        super().__init__(
            groups={"instance": ViewGroup(views, size)},
            area=(area_min, 1.0),
            flip=flip,
            strength=strength,
            randaugment=None,
            gray=gray,
            blur=blur,
            kernel=kernel,
            placement=placement,
        )
