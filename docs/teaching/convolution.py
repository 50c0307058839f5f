# %% [markdown]
# # Convolution by hand
#
# A layer of a network that sees does one small thing everywhere: it lays a little filter on each place of a picture and adds up what lies below it. This page writes that down as four nested loops, checks them against torch, counts
# what is saved, works out how large the outputs are, and looks at what a real network gives, layer by layer, before isocortex compares it with the brain.

# %% tags=["setup"]
"""What this page needs; where it is installed, nothing happens."""
# by hand: pip install numpy matplotlib scikit-image scikit-learn torch \
#     isocortex-vision

import importlib.util
import subprocess
import sys

needed = {
    "numpy": "numpy",
    "matplotlib": "matplotlib",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "torch": "torch",
    "isocortex_vision": "isocortex-vision",
}
missing = [
    package
    for module, package in needed.items()
    if importlib.util.find_spec(module) is None
]
if missing:
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *missing],
        check=True,
    )

# %% tags=["setup"]
"""How pictures look: set once, the same on all of these pages."""
import matplotlib.pyplot as plt

INK, FAINT, RULE = "#1F2328", "#5F6670", "#DDE0E4"
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
plt.rcParams.update(
    {
        "font.size": 8.5,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": FAINT,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 9.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, RED]),
        "xtick.color": FAINT,
        "ytick.color": FAINT,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "legend.frameon": False,
        "image.cmap": "viridis",
        "figure.figsize": (6.2, 2.6),
        "figure.constrained_layout.use": True,
        "svg.fonttype": "none",
    }
)

# %% [markdown]
# ## Four loops
#
# A picture has channels, a height and a width. A filter has as many channels and is small, here $k \times k$. Its output at a place is the sum of the products of filter and picture below it. Two numbers say how it moves: the *stride* is the
# step from place to place, and *padding* puts zeros around the picture, so that the filter can reach over the edge.
#
# $$y_{o,i,j} = b_o + \sum_{c,u,v} w_{o,c,u,v}\; x_{c,\, si + u,\, sj + v}$$
#
# Strictly this is a correlation, since the filter is not turned round. Everybody calls it a convolution, and as filters are learned, it makes no difference.

# %%
import numpy as np


def convolve(x, weights, bias, stride=1, padding=0):
    """Convolution by hand.

    x is (channels, height, width), weights are (outputs, channels, k, k).
    """
    x = np.pad(x, [(0, 0), (padding, padding), (padding, padding)])
    n_outputs, _, k, _ = weights.shape
    height, width = ((n - k) // stride + 1 for n in x.shape[1:])
    y = np.zeros((n_outputs, height, width))
    for output in range(n_outputs):
        for row in range(height):
            for column in range(width):
                i, j = row * stride, column * stride
                below = x[:, i : i + k, j : j + k]
                y[output, row, column] = (below * weights[output]).sum()
    return y + bias[:, None, None]


# %% [markdown]
# torch does the same, many times faster. Both on random numbers, with several sizes, strides and paddings:

# %%
import torch

torch.set_num_threads(1)
draw = np.random.default_rng(0)
for k, stride, padding in [
    (1, 1, 0),
    (3, 1, 1),
    (3, 2, 1),
    (5, 1, 0),
    (5, 3, 2),
    (7, 2, 3),
]:
    x, weights, bias = (
        draw.normal(size=(3, 23, 19)),
        draw.normal(size=(4, 3, k, k)),
        draw.normal(size=4),
    )
    ours = convolve(x, weights, bias, stride, padding)
    arrays = [torch.from_numpy(values) for values in (x[None], weights, bias)]
    theirs = torch.nn.functional.conv2d(
        *arrays, stride=stride, padding=padding
    )[0].numpy()
    assert ours.shape == theirs.shape
    assert abs(ours - theirs).max() < 1e-6
    print(
        f"{k} × {k}, stride {stride}, padding {padding}: {ours.shape},",
        "equal to 1e-6",
    )

# %% [markdown]
# ## What a filter sees
#
# Four filters of 3 × 3 on one picture. The first averages its neighbourhood; the second answers where brightness changes from left to right, the third where it changes from top to bottom, and the fourth to edges of
# any direction. The first cells of the visual cortex do something of that kind, and so do the first layers of networks, whether they were told to or not.

# %%
from skimage import data

camera = data.camera()[::4, ::4] / 255.0  # (128, 128), grey
filters = {
    "mean": np.full((3, 3), 1 / 9),
    "left to right": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4,
    "top to bottom": np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]) / 4,
    "any edge": np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]) / 2,
}
seen = convolve(
    camera[None],
    np.array(list(filters.values()))[:, None],
    np.zeros(4),
    padding=1,
)
assert seen.shape == (4, 128, 128)

# %% alt="A photograph of a man with a camera, and what four filters give on it: a blurred one, upright edges, level edges, and all edges"
figure, axes = plt.subplots(2, 5, figsize=(6.2, 2.2), height_ratios=(3, 1))
axes[0, 0].imshow(camera, cmap="gray", interpolation="none")
axes[0, 0].set_title("picture")
for place, (name, values) in enumerate(filters.items(), 1):
    signed = (
        {"cmap": "gray", "vmin": 0, "vmax": 1}
        if name == "mean"
        else {"cmap": "RdBu_r", "vmin": -0.5, "vmax": 0.5}
    )
    axes[0, place].imshow(seen[place - 1], interpolation="none", **signed)
    axes[0, place].set_title(name)
    axes[1, place].imshow(values, cmap="RdBu_r", vmin=-1, vmax=1)
for ax in axes.flat:
    ax.axis("off")
plt.show()

# %% [markdown]
# ## Move the picture, and the answer moves along
#
# The same filter is everywhere, so what is found does not depend on where it is. A dense layer has to learn a thing anew at every place.

# %%
moved = np.roll(camera, (9, 14), axis=(0, 1))
there = convolve(moved[None], filters["any edge"][None, None], np.zeros(1))[0]
here = convolve(camera[None], filters["any edge"][None, None], np.zeros(1))[0]
assert abs(there[9:, 14:] - here[:-9, :-14]).max() < 1e-12

# %% [markdown]
# ## What it saves
#
# A picture of 32 × 32 with three colours, and 64 filters of 5 × 5. The output has 28 × 28 places of 64 channels. The filters have $3 \cdot 5 \cdot 5 \cdot 64$ weights. A dense layer between the same numbers of units has one weight for each
# pair of them.

# %%
layer = torch.nn.Conv2d(3, 64, 5, bias=False)
n_weights = layer.weight.numel()
output = layer(torch.zeros(1, 3, 32, 32))
n_dense = 3 * 32 * 32 * output[0].numel()
print(
    f"output {tuple(output.shape[1:])}: {n_weights:,} weights,\n"
    f"where a dense layer has {n_dense:,},"
    f" {n_dense / n_weights:,.0f} times as many"
)
assert tuple(output.shape[1:]) == (64, 28, 28)
assert n_weights == 4_800
assert n_dense == 154_140_672

# %% [markdown]
# A convolution *is* a dense layer, of which nearly all weights are 0, and the others are the same few numbers again and again. For a picture of 8 × 8 and one filter of 3 × 3 we can look at it: each row is one of the 36 outputs, each
# column one of the 64 pixels.

# %%
weights = draw.permutation([-2, -1.5, -1, -0.5, 0.5, 1, 1.5, 2, 2.5])
small, no_bias = weights.reshape(1, 1, 3, 3), np.zeros(1)
pixels = np.eye(64).reshape(64, 1, 8, 8)
dense = np.array([convolve(x, small, no_bias).ravel() for x in pixels]).T
picture = draw.normal(size=(1, 8, 8))
by_loops = convolve(picture, small, no_bias).ravel()
assert abs(dense @ picture.ravel() - by_loops).max() < 1e-12
assert (dense != 0).sum() == 36 * 9
assert len(np.unique(dense[dense != 0])) == 9
print(
    f"{dense.size:,} weights, {(dense != 0).sum()} of them not 0,",
    f"{len(np.unique(dense[dense != 0]))} different ones",
)

# %% alt="A matrix of 36 rows and 64 columns; coloured cells lie in a few slanting bands, all else is white"
figure, ax = plt.subplots(figsize=(6.2, 3.6))
shown = ax.imshow(dense, cmap="RdBu_r", vmin=-2.5, vmax=2.5)
ax.set(
    title="A convolution as a dense layer: nine numbers, 36 times",
    xlabel="pixel of the picture",
    ylabel="output",
)
figure.colorbar(shown, ax=ax, shrink=0.7, label="weight")
plt.show()

# %% [markdown]
# ## How large the output is
#
# Along an axis of $n$ pixels, with padding $p$ on both sides, a filter of $k$ and stride $s$ has
#
# $$\left\lfloor \frac{n + 2p - k}{s} \right\rfloor + 1$$
#
# places. What is left over at the far edge is not seen at all, and torch does not say so. The formula against torch, for every combination up to $n = 40$:


# %%
def n_places(n, k, stride, padding):
    """Outputs along one axis."""
    return (n + 2 * padding - k) // stride + 1


n_checked = 0
for n in range(8, 41, 4):
    for k in (1, 2, 3, 5, 7):
        for stride in (1, 2, 3, 4):
            for padding in range(k // 2 + 1):
                found = torch.nn.functional.conv1d(
                    torch.zeros(1, 1, n),
                    torch.zeros(1, 1, k),
                    stride=stride,
                    padding=padding,
                )
                assert found.shape[-1] == n_places(n, k, stride, padding)
                n_checked += 1
print(n_checked, "combinations agree")
assert n_places(32, 5, 1, 0) == 28
assert n_places(224, 7, 2, 3) == 112  # the first layer of a ResNet

# %% alt="A row of thirteen pixels with a filter of five laid on it: at stride 1 without padding nine places, at stride 3 three, with padding 2 five"
figure, ax = plt.subplots(figsize=(6.2, 2.6))
rows = [(1, 0), (3, 0), (3, 2)]
for row, (stride, padding) in enumerate(rows):
    y = -2.6 * row
    for pixel in range(-padding, 13 + padding):
        inside = 0 <= pixel < 13
        ax.add_patch(
            plt.Rectangle(
                (pixel, y),
                0.9,
                0.8,
                fc="#DCE9F2" if inside else "white",
                ec=FAINT if inside else RULE,
                lw=0.7,
            )
        )
    places = [
        place * stride - padding
        for place in range(n_places(13, 5, stride, padding))
    ]
    for place in places:
        ax.plot(
            [place + 0.1, place + 4.8],
            [y - 0.25 - 0.12 * (places.index(place) % 5)] * 2,
            color=BLUE,
            lw=1.2,
        )
        ax.plot(place + 2.45, y + 0.4, "o", color=ORANGE, ms=4)
    ax.text(
        -2.6,
        y + 0.4,
        f"stride {stride}, padding {padding}\n{len(places)} places",
        ha="right",
        va="center",
    )
ax.set(xlim=(-7.5, 15.2), ylim=(-6.4, 1.3))
ax.set_title(
    "Thirteen pixels, a filter of five; dots are where it is centred"
)
ax.axis("off")
plt.show()

# %% [markdown]
# ## The layers of a network
#
# A ResNet-18 is seventeen convolutions behind each other, with three more at the side of blocks that change size, and a bend after most of them. Its weights are random here, so nothing is downloaded: the shapes are the same. To read out a layer we hang a *hook* on it, a function that torch calls with what
# the layer gives. isocortex does this for every layer that you ask for.

# %%
import isocortex

network = isocortex.load_model(
    "resnet18@random:0"
).module  # torchvision's, as isocortex-vision builds it
shapes = {}
for name, module in network.named_modules():
    if isinstance(module, torch.nn.Conv2d):
        module.register_forward_hook(
            lambda _module, _given, output, name=name: shapes.update(
                {name: tuple(output.shape)}
            )
        )
with torch.no_grad():
    network(torch.zeros(1, 3, 224, 224))

for name, shape in shapes.items():
    if ".0.conv" in name or name == "conv1":
        print(f"{name:16s} {shape!s:20s} {np.prod(shape):8,d} units")
assert shapes["layer3.0.conv1"] == (1, 256, 14, 14)
assert shapes["conv1"] == (1, 64, 112, 112)
assert np.prod(shapes["conv1"]) == 802_816

# %% alt="Bars of the number of units of each convolution of a ResNet-18, falling from 802,816 to 25,088, and the 4,096 that a projection keeps as a line"
figure, ax = plt.subplots(figsize=(6.2, 3.4))
names = [name for name in shapes if "downsample" not in name]
sizes = [np.prod(shapes[name]) for name in names]
ax.barh(names, sizes, color=BLUE, height=0.65)
ax.axvline(4096, color=RED, lw=1.2)
ax.text(
    4400, 16.9, "4,096 are enough for 119 pictures", color=RED, va="center"
)
ax.set(
    xscale="log",
    xlim=(2000, 1.3e6),
    title="Units of each convolution of a ResNet-18, at 224 × 224",
)
ax.tick_params(axis="y", length=0)
ax.invert_yaxis()
ax.set_ylim(17.6, -0.6)
plt.show()

# %% [markdown]
# ## Eight hundred thousand units, a hundred pictures
#
# So many units of so few pictures can be projected onto fewer directions at random, and still nearly keep all distances between the pictures. How many directions are enough is known: Johnson and Lindenstrauss' lemma asks, for
# 119 pictures and squared distances within 10 %, for 4,096. isocortex calls this reduction `srp-4096`.

# %%
from sklearn.random_projection import (
    SparseRandomProjection,
    johnson_lindenstrauss_min_dim,
)

n_directions = johnson_lindenstrauss_min_dim(119, eps=0.1)
print(n_directions, "directions")
assert n_directions == 4096

features = draw.normal(size=(30, 20_000)) * np.linspace(0.1, 2, 30)[:, None]
projected = SparseRandomProjection(4096, random_state=0).fit_transform(
    features
)
first, second = np.triu_indices(30, 1)
before, after = (
    ((x[first] - x[second]) ** 2).sum(axis=1) for x in (features, projected)
)
ratio = after / before
print(
    "squared distances after the projection are",
    f"{ratio.min():.2f} to {ratio.max():.2f} of those before",
)
assert ratio.min() > 0.9
assert ratio.max() < 1.1

# %% [markdown]
# Filters that are learned, a bend, and again. What the first of them learn looks much like the next page: filters that answer to stripes of one direction and one width.
