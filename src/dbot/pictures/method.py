"""What distillation does, on one image: a strip of panels for people, drawn from numbers alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from dbot.data.images import encoded
from dbot.pictures.maps import sized_image, sized_map
from dbot.pictures.palette import Colour

PANELS = ("image", "what the student sees", "teacher's tokens", "student's tokens", "loss by token")
"""From left to right."""
SIDE, GAP = 160, 8
"""Of a panel, and between panels, in pixels. Between them the picture is transparent, as it is at patches that the student doesn't
see and at tokens that nobody scores: every colour may be a token's."""
SPREAD = (0.02, 0.98)
"""Quantiles of the teacher's components that take the darkest and the brightest of a colour."""
RAMP: tuple[Colour, ...] = ((13, 8, 60), (86, 20, 110), (160, 42, 99), (219, 80, 59), (249, 149, 33), (250, 230, 120))
"""Colours of the loss, from none to the image's largest."""


@dataclass(frozen=True)
class OneImage:
    """An image with what a student and its teacher make of it; N patch tokens in the order of reading, all on the CPU."""

    pixels: Tensor
    """uint8 (3, H, W), as the student's network gets it."""
    hidden_N: Tensor
    """bool: true where the student doesn't see the patch, so that its prediction is scored."""
    target_ND: Tensor
    """The teacher's tokens, as the loss takes them."""
    prediction_ND: Tensor
    """The student's."""
    loss_N: Tensor
    """Distance between the two."""


def method_picture(one: OneImage) -> bytes:
    """The `PANELS` side by side, as PNG.

    Tokens are coloured by their first three principal components, red, green and blue: those of the teacher's tokens, for both
    networks, so that equal colours are equal features. Where the student isn't scored, its panel and that of the loss are empty.
    """
    grid = round(len(one.hidden_N) ** 0.5)
    hidden_N = one.hidden_N.cpu().numpy()
    target_N3, prediction_N3 = (_shades(tokens_N3) for tokens_N3 in components(one.target_ND, one.prediction_ND))
    picture = sized_image(one.pixels, (SIDE, SIDE))

    def tokens(colours_N3: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return sized_map(colours_N3.reshape(grid, grid, 3), (SIDE, SIDE))

    hidden = sized_map(hidden_N.reshape(grid, grid), (SIDE, SIDE))
    everywhere = np.ones_like(hidden)
    panels = (
        (picture, everywhere),
        (picture, ~hidden),
        (tokens(target_N3), everywhere),
        (tokens(prediction_N3), hidden),
        (tokens(_heat(one.loss_N, hidden_N)), hidden),
    )
    drawn = Image.new("RGBA", (len(panels) * (SIDE + GAP) - GAP, SIDE))
    for number, (colours, there) in enumerate(panels):
        # Nothing lies under what is transparent, whatever the network made of it.
        panel = np.dstack([np.where(there[:, :, None], colours, np.uint8(0)), np.uint8(255) * there])
        drawn.paste(Image.fromarray(panel.astype(np.uint8)), (number * (SIDE + GAP), 0))
    return encoded(drawn, "PNG", compress_level=9)


def components(target_ND: Tensor, prediction_ND: Tensor) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Teacher's and student's tokens along the first three principal axes of the teacher's, 0 to 1 over what its tokens take: (N, 3) each.

    An axis points to where its largest loading is positive, so that the colours of a picture made again are the same. Axes that
    tokens of few features lack are .5.
    """
    target = target_ND.detach().double().cpu()
    centre = target.mean(dim=0)
    axes_KD = torch.linalg.svd(target - centre, full_matrices=False).Vh[:3]
    # Rounded, so that the last bits decide nothing between loadings of one size.
    largest_K1 = axes_KD.abs().float().argmax(dim=1, keepdim=True)
    axes_KD = axes_KD * axes_KD.gather(1, largest_K1).sign()
    theirs_NK = (target - centre) @ axes_KD.T
    ours_NK = (prediction_ND.detach().double().cpu() - centre) @ axes_KD.T
    low_K, high_K = (torch.quantile(theirs_NK, share, dim=0) for share in SPREAD)
    spread_K = high_K - low_K
    known_K = spread_K > 1e-9 * theirs_NK.abs().max().clamp(min=1e-30)

    def placed(along_NK: Tensor) -> npt.NDArray[np.float64]:
        share_NK = torch.where(known_K, (along_NK - low_K) / torch.where(known_K, spread_K, 1.0), 0.5).clamp(0, 1)
        padded: npt.NDArray[np.float64] = torch.nn.functional.pad(share_NK, (0, 3 - share_NK.shape[1]), value=0.5).numpy()
        return padded

    return placed(theirs_NK), placed(ours_NK)


def _shades(share_N3: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    shades: npt.NDArray[np.uint8] = np.rint(255 * share_N3).astype(np.uint8)
    return shades


def _heat(loss_N: Tensor, scored_N: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """The `RAMP`, from no loss to the largest that is scored: (N, 3)."""
    loss = loss_N.detach().double().cpu().numpy()
    most = loss[scored_N].max(initial=0.0)
    share = np.clip(loss / most, 0, 1) if most > 0 else np.zeros_like(loss)
    stops = np.linspace(0, 1, len(RAMP))
    channels = [np.interp(share, stops, channel) for channel in np.array(RAMP, dtype=np.float64).T]
    heat: npt.NDArray[np.uint8] = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return heat
