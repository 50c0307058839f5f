# %% [markdown]
# # Gabor filters: a model of the first visual cortex without weights
#
# Cells of the primary visual cortex answer to stripes of one direction and one width at one place. A Gabor filter does just that, and it has learned nothing: it is a wave under a window. A bank of such filters is the oldest model of
# early vision that still predicts it well, and the one that a trained network should beat. This page builds the filter in one dimension and in two, the bank, its energy, and the pyramid that isocortex has as `gabor-pyramid`, and looks at why
# pictures need filters of several sizes.

# %% tags=["setup"]
"""What this page needs; where it is installed, nothing happens."""
# by hand: pip install numpy scipy matplotlib scikit-image \
#     isocortex-baselines

import importlib.util
import subprocess
import sys

needed = {
    "numpy": "numpy",
    "scipy": "scipy",
    "matplotlib": "matplotlib",
    "skimage": "scikit-image",
    "isocortex_baselines": "isocortex-baselines",
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
# ## In one dimension
#
# A wave of half a cycle per σ under a bell-shaped window of standard deviation σ, cut off at four of them. There are two, a cosine (even) and a sine (odd): a *quadrature pair*.
#
# $$g(x) = e^{-x^2 / 2\sigma^2} \cos\!\left(2\pi\, \tfrac{0.5}{\sigma}\, x + \varphi\right), \qquad \varphi = 0 \text{ or } \tfrac{\pi}{2}$$

# %%
import numpy as np


def gabor_1d(sigma, phase, n_sigmas=4):
    """A Gabor filter along one axis, of norm 1: (2 n_sigmas sigma + 1,)."""
    x = np.arange(-n_sigmas * sigma, n_sigmas * sigma + 1)
    g = np.exp(-(x**2) / (2 * sigma**2)) * np.cos(
        2 * np.pi * 0.5 / sigma * x + phase
    )
    return g / np.linalg.norm(g)


even, odd = gabor_1d(12, 0), gabor_1d(12, np.pi / 2)
assert len(even) == 97
assert abs(even @ odd) < 1e-12  # they share nothing

# %% [markdown]
# Why two? Slide a grating below the pair. Each answer goes up and down with the place of the stripes, but the *energy*, the square root of the sum of their squares, stays where it is: it says that there are stripes of that
# width, and not where each lies. Complex cells of the visual cortex do the same.

# %%
shifts = np.linspace(0, 2 * np.pi, 73)
x = np.arange(-48, 49)
gratings = np.cos(2 * np.pi * 0.5 / 12 * x[None] + shifts[:, None])
answers = gratings @ even, gratings @ odd
energy_1d = np.hypot(*answers)
print(
    f"even: {answers[0].min():.2f} to {answers[0].max():.2f};",
    f"energy: {energy_1d.min():.2f} to {energy_1d.max():.2f}",
)
assert np.ptp(energy_1d) < 0.02 * energy_1d.mean()

# %% alt="Left, an even and an odd Gabor filter under their window; right, their answers to a moving grating go up and down while the energy is a level line"
figure, (left, right) = plt.subplots(1, 2, figsize=(6.2, 2.4))
window = np.exp(-(x**2) / (2 * 12**2)) * even.max()
left.fill_between(x, -window, window, color="#EEF1F3", lw=0)
left.plot(x, even, color=BLUE)
left.plot(x, odd, color=ORANGE)
left.text(6, 0.2, "even", color=BLUE)
left.text(-10, 0.2, "odd", color=ORANGE, ha="right")
left.set(title="A quadrature pair, σ 12", xlabel="pixels")
right.plot(np.degrees(shifts), answers[0], color=BLUE)
right.plot(np.degrees(shifts), answers[1], color=ORANGE)
right.plot(np.degrees(shifts), energy_1d, color=INK)
right.text(180, energy_1d.mean() * 1.06, "energy", ha="center")
right.set(
    title="Answers to a moving grating",
    xlabel="phase of the grating, degrees",
    xticks=range(0, 361, 90),
    ylim=(-5.2, 5.8),
)
plt.show()

# %% [markdown]
# ## In two dimensions
#
# The wave runs in a direction θ, along $u = x \cos\theta + y \sin\theta$, and the window is round. Eight directions between 0 and 180 degrees make a bank. For σ = 3 and four standard deviations, each filter is 25 × 25 pixels: as a layer of a network the
# bank has the shape (25, 25, 1, 8), height, width, one grey channel, eight filters.

# %%
from skimage.filters import gabor_kernel

from isocortex_baselines.gabor import gabor_bank


def gabor_2d(sigma, theta, phase, n_sigmas=4):
    """A Gabor filter of norm 1, on the square that its direction needs."""
    half = int(
        np.ceil(
            max(
                n_sigmas * sigma * abs(np.cos(theta)),
                n_sigmas * sigma * abs(np.sin(theta)),
                1,
            )
        )
    )
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    u = x * np.cos(theta) + y * np.sin(theta)
    g = np.exp(-(x**2 + y**2) / (2 * sigma**2)) * np.cos(
        2 * np.pi * 0.5 / sigma * u + phase
    )
    return g / np.linalg.norm(g)


thetas = np.arange(8) * np.pi / 8
bank = np.zeros((25, 25, 1, 8))
for place, theta in enumerate(thetas):
    ours = gabor_2d(3, theta, 0)
    theirs = gabor_kernel(
        0.5 / 3, theta=theta, sigma_x=3, sigma_y=3, n_stds=4
    ).real
    assert (
        abs(ours - theirs / np.linalg.norm(theirs)).max() < 1e-12
    )  # scikit-image's
    edge = (25 - len(ours)) // 2
    bank[edge : 25 - edge, edge : 25 - edge, 0, place] = ours
assert bank.shape == (25, 25, 1, 8)
assert (
    abs(np.moveaxis(bank[:, :, 0], -1, 0) - gabor_bank(3)[0]).max() < 1e-12
)  # isocortex's
print("the bank:", bank.shape)

# %% alt="Eight filters of 25 by 25 pixels, stripes turned by 22.5 degrees from one to the next; below, their odd partners"
figure, axes = plt.subplots(2, 8, figsize=(6.2, 1.9))
pair = gabor_bank(3)
for column, theta in enumerate(thetas):
    for row in range(2):
        axes[row, column].imshow(
            pair[row, column], cmap="RdBu_r", vmin=-0.19, vmax=0.19
        )
        axes[row, column].set(xticks=[], yticks=[])
        axes[row, column].spines[:].set_visible(False)
    axes[0, column].set_title(
        f"{np.degrees(theta):g}°", loc="center", fontweight="normal"
    )
axes[0, 0].set_ylabel("even")
axes[1, 0].set_ylabel("odd")
plt.show()

# %% [markdown]
# ## Energy, direction by direction
#
# Three pictures that come with scikit-image. We correlate each with the sixteen filters, take the energy at every place and average it: one number for each direction. θ is the direction in which brightness changes, so stripes of θ = 90°
# lie level. Lines of writing do: their energy must be largest at 90°. The bricks of the second picture stand on end, so their long joints are upright, and a photograph has a little of everything.

# %%
from scipy.signal import fftconvolve
from skimage import data


def energies(image, sigma):
    """Mean energy of a picture, less its mean, for each direction."""
    even, odd = gabor_bank(sigma)
    grey = image - image.mean()
    answer = lambda g: fftconvolve(grey, g[::-1, ::-1], mode="valid")
    return np.array(
        [
            np.hypot(answer(one), answer(other)).mean()
            for one, other in zip(even, odd, strict=True)
        ]
    )


pictures = {
    "text": data.text() / 255.0,
    "brick": data.brick() / 255.0,
    "camera": data.camera() / 255.0,
}
by_direction = {name: energies(image, 3) for name, image in pictures.items()}
for name, values in by_direction.items():
    print(
        f"{name:7s} largest at {np.degrees(thetas[values.argmax()]):5.1f}°,",
        f"{values.max() / values.min():.1f} times the smallest",
    )
assert np.degrees(thetas[by_direction["text"].argmax()]) == 90
assert np.degrees(thetas[by_direction["brick"].argmax()]) == 0

# %% alt="The three pictures, and below each a polar plot of its energy: text points to 90 degrees, brick to 0 degrees, camera to all of them"
figure = plt.figure(figsize=(6.2, 3.9))
for column, (name, image) in enumerate(pictures.items()):
    above = figure.add_subplot(2, 3, column + 1)
    above.imshow(image, cmap="gray")
    above.set(title=name)
    above.axis("off")
    ax = figure.add_subplot(2, 3, column + 4, projection="polar")
    values = by_direction[name] / by_direction[name].max()
    ax.plot(
        np.r_[thetas, thetas + np.pi, 0],
        np.r_[values, values, values[0]],
        "o-",
        color=BLUE,
        ms=3,
    )
    ax.fill(
        np.r_[thetas, thetas + np.pi],
        np.r_[values, values],
        color=BLUE,
        alpha=0.12,
    )
    ax.set(
        ylim=(0, 1.05), yticklabels=[], xticks=np.radians(range(0, 360, 45))
    )
    ax.set_yticks([0.5, 1])
    ax.set_yticklabels([])
    ax.grid(color=RULE, lw=0.6)
    ax.spines["polar"].set_visible(False)
    ax.tick_params(pad=-2, labelsize=7.5)
plt.show()

# %% [markdown]
# ### The negative
#
# A picture and its negative have the same energy, since squares know no sign. That holds because the mean was taken away: an even filter keeps a little of a flat grey, so without that the energy would follow the brightness.

# %%
for image in pictures.values():
    assert abs(energies(1 - image, 3) - energies(image, 3)).max() < 1e-12
kept = [gabor_bank(sigma)[0].sum(axis=(1, 2)).max() for sigma in (2, 4, 8)]
print(
    "what even filters keep of a flat picture, at σ 2, 4 and 8:",
    np.round(kept, 2),
)
assert np.round(kept, 2).tolist() == [0.07, 0.14, 0.29]

# %% [markdown]
# ## A pyramid: several widths
#
# One width of stripes is not enough. From σ = 2 to σ = 8 in steps of 1, the bank has filters of seven sizes. How fine a filter is, is said in cycles per picture: it has .5 / σ cycles per pixel, so on a picture $n$ pixels wide
#
# $$\text{cycles per picture} = \frac{0.5}{\sigma}\, n.$$
#
# To check it we show the pyramid gratings of known fineness: each size must answer most to its own.

# %%
sigmas, n = range(2, 9), 256
cycles = {sigma: 0.5 / sigma * n for sigma in sigmas}
y, x = np.mgrid[:n, :n]
shown = np.arange(8, 97, 1)
tuning = {}
for sigma in sigmas:
    even, odd = gabor_bank(sigma)[:, 0]  # stripes that stand upright
    middle = slice(n // 2 - 4 * sigma, n // 2 + 4 * sigma + 1)
    gratings = np.cos(
        2 * np.pi * shown[:, None, None] / n * x[middle, middle]
    )
    tuning[sigma] = np.hypot(
        (gratings * even).sum(axis=(1, 2)), (gratings * odd).sum(axis=(1, 2))
    )
for sigma in sigmas:
    best = shown[tuning[sigma].argmax()]
    print(
        f"σ {sigma}: {cycles[sigma]:5.1f} cycles per picture;",
        f"answers most to {best}",
    )
    assert abs(best - cycles[sigma]) <= 1.5

# %% alt="Seven tuning curves over cycles per picture, from σ 8 at 16 cycles to σ 2 at 64, each with its peak where a dotted line says"
figure, ax = plt.subplots(figsize=(6.2, 2.5))
for place, sigma in enumerate(sigmas):
    colour = plt.cm.viridis(place / 7)
    ax.plot(shown, tuning[sigma] / tuning[sigma].max(), color=colour)
    ax.axvline(cycles[sigma], ymax=0.88, color=colour, ls=":", lw=1)
    ax.text(
        cycles[sigma],
        1.04,
        f"σ {sigma}",
        color=colour,
        ha="center",
        va="bottom",
    )
ax.set(
    xscale="log",
    xlabel="cycles per picture of 256 pixels",
    ylim=(0, 1.14),
    xticks=[8, 16, 32, 64],
    xticklabels=[8, 16, 32, 64],
)
ax.minorticks_off()
ax.set_ylabel("energy, of its largest")
plt.show()

# %% [markdown]
# At every pixel (stride 1), seven sizes, eight directions and a picture of 256 × 256 give 3,670,016 numbers, nearly all of them told by their neighbours. Wide filters need not be asked as often as narrow ones: at every 2 σ-th pixel
# it is 69,968, and little is lost. The bright frame of the maps is the edge of the picture, beyond which there are zeros: that is a step, too.

# %%
image = data.camera()[::2, ::2] / 255.0
image = image - image.mean()
maps = {}
for sigma in sigmas:
    even, odd = gabor_bank(sigma)
    answer = lambda g: fftconvolve(image, g[::-1, ::-1], mode="same")
    maps[sigma] = np.array(
        [
            np.hypot(answer(one), answer(other))
            for one, other in zip(even, odd, strict=True)
        ]
    )
n_all = sum(values.size for values in maps.values())
n_sampled = sum(
    values[:, :: 2 * sigma, :: 2 * sigma].size
    for sigma, values in maps.items()
)
print(f"at every pixel {n_all:,}, at every 2 σ-th {n_sampled:,}")
assert n_all == 7 * 8 * 256 * 256 == 3_670_016
assert n_sampled == 69_968

# %% alt="Energy maps of the photograph at σ 2, 5 and 8, for level and for upright stripes: fine lines first, then broad forms"
figure, axes = plt.subplots(2, 4, figsize=(6.2, 3.2))
axes[0, 0].imshow(image[::2, ::2], cmap="gray", interpolation="none")
axes[0, 0].set_title("picture")
for column, sigma in enumerate((2, 5, 8), 1):
    for row, direction in enumerate((0, 4)):
        axes[row, column].imshow(
            maps[sigma][direction, ::2, ::2],
            cmap="magma",
            interpolation="none",
        )
    axes[0, column].set_title(f"σ {sigma}")
axes[0, 1].text(-7, 64, "upright", rotation=90, va="center", ha="right")
axes[1, 1].text(-7, 64, "level", rotation=90, va="center", ha="right")
for ax in axes.flat:
    ax.axis("off")
plt.show()

# %% [markdown]
# ## Why several widths: the spectrum of pictures
#
# Pictures of the world have most of their power in broad forms, and less the finer it gets: about as $1/f^2$, with $f$ in cycles per picture, or a little faster where a picture is not sharp. White noise has the same at every frequency. So a
# single size of filters would miss most of a picture, and a pyramid hears all of it. Four photographs, their power averaged over all directions, beside $1000 / f^2$. The units of power are arbitrary: each photograph is scaled so that it
# meets the line at 16 cycles.


# %%
def spectrum(image):
    """Power at 1, 2, … cycles per picture; its edges are faded out."""
    n = len(image)
    fade = np.outer(np.hanning(n), np.hanning(n))
    power = abs(np.fft.fft2((image - image.mean()) * fade)) ** 2
    f = np.fft.fftfreq(n, 1 / n)
    ring = np.rint(np.hypot(f[:, None], f[None])).astype(int)
    return (
        np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
    )[1 : n // 2]


def slope(power, low=4, high=64):
    """Of log power over log frequency."""
    f = np.arange(1, len(power) + 1)
    inside = (f >= low) & (f <= high)
    return np.polyfit(np.log(f[inside]), np.log(power[inside]), 1)[0]


photographs = {
    "camera": data.camera(),
    "cat": data.chelsea(),
    "astronaut": data.astronaut(),
    "rocket": data.rocket(),
}
powers = {}
for name, image in photographs.items():
    grey = image.reshape(*image.shape[:2], -1).mean(axis=2) / 255.0
    side = min(grey.shape)
    powers[name] = spectrum(grey[:side, :side])
noise = np.mean(
    [
        spectrum(np.random.default_rng(seed).normal(size=(300, 300)))
        for seed in range(4)
    ],
    axis=0,
)
for name, power in powers.items():
    print(f"{name:9s} slope {slope(power):.1f}")
print(f"noise     slope {slope(noise):.1f}")
assert all(-3 < slope(power) < -1.9 for power in powers.values())
assert abs(slope(noise)) < 0.1

# %% alt="Power over cycles per picture on logarithmic axes: four photographs fall along a dashed line of 1000 over f squared, noise is flat"
figure, ax = plt.subplots(figsize=(6.2, 2.9))
f = np.arange(1, 141)
for power in powers.values():
    ax.loglog(
        f,
        power[:140] * 1000 / 16**2 / power[12:20].mean(),
        color=BLUE,
        lw=1,
        alpha=0.7,
    )
ax.loglog(f, 1000 / f**2, color=INK, ls="--", lw=1)
ax.loglog(f, noise[:140] / noise.mean(), color=ORANGE)
ax.text(1.6, 70, "1000 / f²", va="top")
ax.text(14, 30, "four photographs", color=BLUE)
ax.text(140, 1.6, "white noise", color=ORANGE, ha="right")
ax.set(xlabel="cycles per picture", ylabel="power, scaled")
plt.show()

# %% [markdown]
# `isocortex score -m gabor-pyramid -b BENCHMARK` puts this model beside any network, with σ of 2, 4, 8 and 16 pixels on pictures of 256 × 256. A network that does not beat it on a benchmark has not needed its training for that.
#
# Daugman JG (1985). Uncertainty relation for resolution in space, spatial frequency, and orientation optimized by two-dimensional visual cortical filters. *Journal of the Optical Society of America A* 2: 1160–1169. Field DJ (1987). Relations between the statistics of natural
# images and the response properties of cortical cells. *Journal of the Optical Society of America A* 4: 2379–2394. Kay KN, Naselaris T, Prenger RJ, Gallant JL (2008). Identifying natural images from human brain activity. *Nature* 452: 352–355.
