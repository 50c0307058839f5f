"""The network of Kell et al. (2018): shared layers, then a branch for words and one for musical genres.

Kell, Yamins, Shook, Norman-Haignere & McDermott (2018), Neuron 98:630-644, and its published code, which is written in
TensorFlow. What differs there from torch, and is kept: SAME padding, asymmetric where its amount is odd; the mean of a
pool leaves padding out; the sum of squares of the local response normalisation is not divided by its width; maps are
flattened with the channel as the fastest axis.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from isocortex_cochnets.cochleagrams import KELL2018_EDGE, Kell2018Cochleagram
from isocortex_cochnets.same import RectifiedConv2d, SameAvgPool2d, SameMaxPool2d

#: channels of conv1 to conv5, then units of fc6
WIDTHS = (96, 256, 512, 1024, 512, 1024)
#: words and genres, with a label each for "none of them"
N_WORDS, N_GENRES = 589, 43
#: downsampling of conv1, pool1, conv2, pool2 and pool5
_STRIDES = (3, 2, 2, 2, 2)


class ResponseNormalisation(nn.LocalResponseNorm):
    """``x_c / (1 + 0.001 sum_{|d| <= 2} x_{c+d}^2) ** 0.75`` over channels (Krizhevsky et al. 2012, section 3.3).

    torch divides the sum by its five terms, so that its factor is five times as large.

    Examples
    --------
    >>> import torch
    >>> round(ResponseNormalisation()(torch.full((1, 1, 1, 1), 10.0)).item(), 4), round(10 / 1.1**0.75, 4)
    (9.3101, 9.3101)
    """

    def __init__(self) -> None:
        super().__init__(5, alpha=5e-3, beta=0.75, k=1.0)


class RectifiedLinear(nn.Linear):
    """A fully connected layer with rectification."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """(n, n_in) → (n, n_out), negative values set to 0."""
        return functional.relu(super().forward(input))


class Kell2018(nn.Module):
    """From waveforms (n, 32000) at 16 kHz, on the scale of 16-bit integers, to logits of words ("W") and genres ("G").

    Parameters
    ----------
    widths
        Channels of conv1 to conv5 and units of fc6.
    n_words, n_genres
        Classes.

    Examples
    --------
    >>> import torch
    >>> with torch.device("meta"):
    ...     network = Kell2018()
    >>> sum(parameter.numel() for parameter in network.parameters())
    59078712
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS, *, n_words: int = N_WORDS, n_genres: int = N_GENRES) -> None:
        super().__init__()
        self.cochleagram = Kell2018Cochleagram()
        self.conv1, self.rnorm1 = RectifiedConv2d(1, widths[0], 9, 3), ResponseNormalisation()
        self.pool1 = SameMaxPool2d((3, 3), (2, 2))
        self.conv2, self.rnorm2 = RectifiedConv2d(widths[0], widths[1], 5, 2), ResponseNormalisation()
        self.pool2 = SameMaxPool2d((3, 3), (2, 2))
        self.conv3 = RectifiedConv2d(widths[1], widths[2], 3)
        self._add_branch("W", widths[2:], n_words)
        self._add_branch("G", widths[2:], n_genres)

    def _add_branch(self, name: str, widths: tuple[int, ...], n_classes: int) -> None:
        edge = KELL2018_EDGE
        for stride in _STRIDES:
            edge = -(-edge // stride)
        n_in, n_wide, n_out, n_units = widths
        self.add_module(f"conv4_{name}", RectifiedConv2d(n_in, n_wide, 3))
        self.add_module(f"conv5_{name}", RectifiedConv2d(n_wide, n_out, 3))
        self.add_module(f"pool5_{name}", SameAvgPool2d((3, 3), (2, 2), count_padding=False))
        self.add_module(f"fc6_{name}", RectifiedLinear(edge * edge * n_out, n_units))
        self.add_module(f"fctop_{name}", nn.Linear(n_units, n_classes))

    def forward(self, waveforms: Tensor) -> dict[str, Tensor]:
        """(n, 32000) → {"W": (n, n_words), "G": (n, n_genres)}."""
        return self.hear(self.cochleagram(waveforms))

    def hear(self, images: Tensor) -> dict[str, Tensor]:
        """(n, 1, 256, 256), rows from low to high frequency, about 0 … 255 → logits by branch."""
        maps = self.pool1(self.rnorm1(self.conv1(images)))
        maps = self.conv3(self.pool2(self.rnorm2(self.conv2(maps))))
        return {name: self._branch(name, maps) for name in ("W", "G")}

    def _branch(self, name: str, maps: Tensor) -> Tensor:
        def layer(kind: str) -> nn.Module:
            return self.get_submodule(f"{kind}_{name}")

        maps = layer("pool5")(layer("conv5")(layer("conv4")(maps)))
        flat = maps.permute(0, 2, 3, 1).flatten(1)  # (n, height * width * n_channels)
        return layer("fctop")(layer("fc6")(flat))
