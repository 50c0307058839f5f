# %% [markdown]
# # From a dissimilarity matrix to RSA
#
# How do you compare a network with a brain, when the one has thousands of units, the other hundreds of voxels, and nobody knows which belongs to which? Representational similarity analysis (RSA) does not ask. It asks which *stimuli* are alike for the
# one and which for the other, and compares the two answers. This page does it by hand on 92 pictures of objects that four people saw in a scanner, step by step, and ends where isocortex's metric `rsa` gives the same number.

# %% tags=["setup"]
"""What this page needs; where it is installed, nothing happens."""
# by hand: pip install numpy scipy matplotlib isocortex isocortex-metrics \
#     isocortex-baselines isocortex-kriegeskorte2008

import importlib.util
import subprocess
import sys

needed = {
    "numpy": "numpy",
    "scipy": "scipy",
    "matplotlib": "matplotlib",
    "isocortex": "isocortex",
    "isocortex_metrics": "isocortex-metrics",
    "isocortex_baselines": "isocortex-baselines",
    "isocortex_kriegeskorte2008": "isocortex-kriegeskorte2008",
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

# %% tags=["setup"]
"""A stand-in where the data were not fetched: made-up pictures and people."""
import numpy as np
import pandas as pd
import xarray as xr

from isocortex.data import Dataset, Stimulus, StimulusSet

CATEGORIES = {  # category: pictures, whether they are animate
    "human bodypart": (12, 1),
    "human face": (12, 1),
    "nonhuman bodypart": (12, 1),
    "nonhuman face": (12, 1),
    "natural inanimate": (23, 0),
    "artificial inanimate": (21, 0),
}


def made_up():
    """92 pictures of noise, and four people who follow the categories."""
    draw = np.random.default_rng(0)
    category = [name for name, (n, _) in CATEGORIES.items() for _ in range(n)]
    animal = np.array([CATEGORIES[name][1] for name in category])
    ids = [f"stim{number:02d}" for number in range(1, 93)]
    bright = {name: draw.uniform(60, 190) for name in CATEGORIES}
    images = [
        np.clip(draw.normal(bright[name], 40, (32, 32, 3)), 0, 255).astype(
            np.uint8
        )
        for name in category
    ]
    table = pd.DataFrame(
        {"category": category, "animal": animal},
        index=pd.Index(ids, name="stimulus_id"),
    )
    sources = {
        name: Stimulus(name, "image", image)
        for name, image in zip(ids, images, strict=True)
    }
    stimuli = StimulusSet("made-up-92", "image", sources, table=table)
    first, second = np.triu_indices(92, k=1)
    apart = 0.5 * (animal[first] != animal[second]) + 0.3 * (
        np.array(category)[first] != np.array(category)[second]
    )
    rdm = 0.4 + 0.4 * apart + draw.normal(0, 0.25, (4, 2, len(first)))
    names = np.array(ids, dtype=object)
    coords = {
        "subject": ["P1", "P2", "P3", "P4"],
        "session": [1, 2],
        "stimulus_a": ("pair", names[first]),
        "stimulus_b": ("pair", names[second]),
    }
    return Dataset(
        "made-up",
        stimuli,
        rdm=xr.DataArray(
            rdm, dims=("subject", "session", "pair"), coords=coords
        ),
    )


# %% [markdown]
# ## The data
#
# Kriegeskorte and colleagues showed 92 objects on grey to four people, twice, and measured their inferior temporal cortex. They published, for each person and session, how unlike the patterns of activity to each pair of pictures were. The two files (3.8 MB) are not
# part of isocortex. One command fetches them:
#
# ```bash
# isocortex fetch -b Kriegeskorte2008.human-IT.rsa
# ```
#
# Where they are not here, this page goes on with a made-up stand-in and says so, in the text below and in every picture. Its numbers mean nothing.

# %%
import isocortex
from isocortex.errors import FilesError

try:
    human = isocortex.load_dataset("Kriegeskorte2008.human-IT", offline=True)
    REAL, SOURCE = True, "data: Kriegeskorte et al. 2008, human IT"
except FilesError:
    human = made_up()
    REAL, SOURCE = (
        False,
        "MADE-UP DATA; isocortex fetch -b Kriegeskorte2008.human-IT.rsa"
        " brings the real ones",
    )
stimuli = human.stimuli
print(SOURCE)
print(f"{len(stimuli)} pictures, matrices: {dict(human.rdm.sizes)}")
assert dict(human.rdm.sizes) == {
    "subject": 4,
    "session": 2,
    "pair": 92 * 91 // 2,
}

# %% [markdown]
# ## A dissimilarity matrix by hand
#
# A model gives a pattern for each picture: a row of numbers, one for each unit. Two pictures are unlike to the degree that their patterns do not go together: one minus Pearson's correlation over units.
#
# $$d_{ij} = 1 - r(x_i, x_j)$$
#
# The model here is the coarsest layer of `gabor-pyramid`. 92 pictures make $92 \cdot 91 / 2 = 4186$ pairs.

# %%
from scipy.spatial.distance import pdist, squareform

activations = isocortex.extract(
    "gabor-pyramid", stimuli, layers=["sigma.16"], quiet=True
)["sigma.16"]
blocks = list(activations.blocks(stimuli.ids, activations.shape[1]))
patterns = np.concatenate(blocks, axis=1).astype(float)


def rdm_by_hand(patterns):
    """One minus the correlation of each pair of rows: (1, 2), (1, 3), …"""
    pairs = []
    for i in range(len(patterns)):
        for j in range(i + 1, len(patterns)):
            a, b = (
                patterns[i] - patterns[i].mean(),
                patterns[j] - patterns[j].mean(),
            )
            pairs.append(1 - (a @ b) / np.sqrt((a @ a) * (b @ b)))
    return np.array(pairs)


of_gabor = rdm_by_hand(patterns)
assert len(of_gabor) == 4186
assert abs(of_gabor - pdist(patterns, "correlation")).max() < 1e-12  # scipy's

of_people = (
    human.rdm.mean("session").transpose("subject", "pair").values
)  # (4, 4186)
of_group = of_people.mean(axis=0)

# %% alt="Two square matrices of 92 by 92 pictures sorted by category, model left and brain right, with category colours along the edges; the brain's has a block of animate pictures, the model's has not"
category = stimuli.table["category"].to_numpy()
order = np.argsort(
    [list(CATEGORIES).index(name) for name in category], kind="stable"
)
hues = dict(
    zip(
        CATEGORIES,
        ["#D55E00", "#E69F00", "#882255", "#CC79A7", "#009E73", "#0072B2"],
        strict=True,
    )
)


def ranks_in_square(pairs):
    """Ranks from 0 to 1 as a square, pictures sorted by category."""
    square = squareform(pairs.argsort().argsort() / (len(pairs) - 1))[
        np.ix_(order, order)
    ]
    np.fill_diagonal(square, np.nan)
    return square


figure, axes = plt.subplots(1, 2, figsize=(6.2, 3.5))
for ax, pairs, title in zip(
    axes,
    (of_gabor, of_group),
    ("Gabor energy, σ 16", "Four people, mean"),
    strict=True,
):
    shown = ax.imshow(
        ranks_in_square(pairs), vmin=0, vmax=1, interpolation="nearest"
    )
    ax.set(
        title=title, xticks=[], yticks=[], xlim=(-6, 91.5), ylim=(91.5, -6)
    )
    ax.spines[:].set_visible(False)
    for place, row in enumerate(order):
        ax.add_patch(
            plt.Rectangle(
                (-5, place - 0.5), 3, 1, color=hues[category[row]], lw=0
            )
        )
        ax.add_patch(
            plt.Rectangle(
                (place - 0.5, -5), 1, 3, color=hues[category[row]], lw=0
            )
        )
figure.colorbar(
    shown, ax=axes, shrink=0.6, ticks=[0, 1], label="rank of dissimilarity"
).set_ticklabels(["alike", "unlike"])
marks = [plt.Rectangle((0, 0), 1, 1, color=hue) for hue in hues.values()]
figure.legend(
    marks,
    hues,
    ncols=3,
    loc="outside lower left",
    fontsize=7.5,
    handlelength=1,
    handleheight=1,
)
figure.suptitle(SOURCE, x=0.01, ha="left", fontsize=7.5, color=FAINT)
plt.show()

# %% [markdown]
# The colours are ranks: the pair that is most alike is 0, the one that is least alike 1. Why ranks? A model's dissimilarities and a brain's have different scales, and there is no reason why one should be a straight line over the other. That they go up and
# down *together* is what we ask.
#
# A map makes the same matrix easier to see: pictures lie close together where they are alike for the brain.


# %% alt="A map of the 92 pictures as dots in the colours of their categories: animate ones lie on one side, inanimate ones on the other"
def on_a_map(pairs):
    """Classical multidimensional scaling: two coordinates for each picture."""
    squares = squareform(pairs) ** 2
    centre = np.eye(len(squares)) - 1 / len(squares)
    values, vectors = np.linalg.eigh(-0.5 * centre @ squares @ centre)
    places = vectors[:, [-1, -2]] * np.sqrt(values[[-1, -2]])
    return places * np.sign(
        places[0]
    )  # a map may be turned over: the first picture lies at the upper right


figure, ax = plt.subplots(figsize=(6.2, 3.4))
places = on_a_map(of_group)
for name, hue in hues.items():
    ax.plot(
        *places[category == name].T,
        "o",
        color=hue,
        ms=6,
        mec="white",
        mew=0.7,
        label=name,
    )
ax.set(aspect="equal", xticks=[], yticks=[])
ax.spines[:].set_visible(False)
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7.5)
ax.set_title("What is alike for four people's IT")
figure.suptitle(SOURCE, x=0.01, ha="left", fontsize=7.5, color=FAINT)
plt.show()

# %% [markdown]
# ## Ranks, and their correlation
#
# Spearman's ρ is Pearson's correlation of ranks. Where values are equal they share the mean of their ranks. That matters for simple models: one that only knows what is alive and what is not has two different values in 4186 pairs.

# %%
from scipy.stats import spearmanr


def ranks(values):
    """Ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(
        values, return_inverse=True, return_counts=True
    )
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def spearman(a, b):
    """Pearson's correlation of the ranks."""
    a, b = ranks(a), ranks(b)
    a, b = a - a.mean(), b - b.mean()
    return (a @ b) / np.sqrt((a @ a) * (b @ b))


animal = stimuli.table["animal"].to_numpy()
first, second = np.triu_indices(92, k=1)
animacy = (animal[first] != animal[second]).astype(float)

for pairs in (of_gabor, animacy):
    for person in of_people:
        assert (
            abs(spearman(pairs, person) - spearmanr(pairs, person).statistic)
            < 1e-12
        )  # scipy's

for name, pairs in (
    ("Gabor energy, σ 16", of_gabor),
    ("alive or not", animacy),
):
    each = [spearman(pairs, person) for person in of_people]
    print(
        f"{name}: each person {np.round(each, 3)}, mean {np.mean(each):.3f};\n ",
        f"with the mean matrix {spearman(pairs, of_group):.3f}",
    )

# %% [markdown]
# Two numbers stand at the end of each line, and they are not the same thing. The first is the mean of four correlations, the second a correlation with the mean of four people. Averaging takes noise away, so the second is the higher one here. Compare
# like with like, and never set the second beside a ceiling of the first. With the real data the second line is known from elsewhere:

# %%
if REAL:
    assert (
        abs(
            np.mean([spearman(animacy, person) for person in of_people])
            - 0.386
        )
        < 1e-3
    )
    assert abs(spearman(animacy, of_group) - 0.5882) < 1e-4

# %% [markdown]
# ## The noise ceiling
#
# How well could the best model do? Not 1: people differ, and measurements are noisy. Take the mean of all others as a model of each person, and it is a lower bound: the others know nothing of that person's own noise. Take the mean of all, that person
# included, and it is an upper bound: no model can be closer to all four at once. Ranks are averaged rather than dissimilarities, since ranks are what is compared.

# %%
ranked = np.array([ranks(person) for person in of_people])
lower = np.mean(
    [
        spearman(np.delete(ranked, who, axis=0).mean(axis=0), person)
        for who, person in enumerate(ranked)
    ]
)
upper = np.mean([spearman(ranked.mean(axis=0), person) for person in ranked])
print(f"noise ceiling: {lower:.4f} to {upper:.4f}")
if REAL:
    assert abs(lower - 0.3723) < 5e-4
    assert abs(upper - 0.6657) < 5e-4

# %% [markdown]
# ## The same with isocortex
#
# The metric `rsa` prepares the brain once, and then takes any layer of any model. Its number is the one that was made by hand, and so is its ceiling.

# %%
comparison = isocortex.load_metric("rsa").against(human)
scores = comparison.score(activations)
by_hand = [spearman(of_gabor, person) for person in of_people]
print(
    f"isocortex {float(scores.rho.mean()):.6f}, by hand {np.mean(by_hand):.6f}"
)
assert abs(scores.rho.values - by_hand).max() < 1e-9
assert abs(float(scores.group_rho) - spearman(of_gabor, of_group)) < 1e-9
assert abs(comparison.ceiling.lower - lower) < 1e-9
assert abs(comparison.ceiling.upper - upper) < 1e-9

# %% [markdown]
# Four models now: the pixels, the coarsest Gabor energies, the six categories, and alive or not. No brain has had a part in making them.

# %%
found = {
    "pixels": None,
    "gabor-pyramid, σ 16": scores.rho.values,
    "category": None,
}
for name in ("pixels", "category"):
    [layer] = isocortex.extract(name, stimuli, quiet=True).values()
    found[name] = comparison.score(layer).rho.values
found["alive or not"] = np.array(
    [spearman(animacy, person) for person in of_people]
)
for name, each in found.items():
    print(f"{name:20s} {each.mean():.3f}")
assert found["category"].mean() > found["pixels"].mean()

# %% alt="Four models as dots for each person and a mark for their mean, beside the band of the noise ceiling; alive or not reaches the band"
figure, ax = plt.subplots(figsize=(6.2, 2.4))
ax.axvspan(lower, upper, color="#E3ECF3", lw=0)
ax.text(
    (lower + upper) / 2, -0.62, "noise ceiling", ha="center", color="#4E6B84"
)
for place, (name, each) in enumerate(found.items()):
    ax.plot(each, [place] * 4, "o", color=BLUE, ms=3.5, alpha=0.5, mew=0)
    ax.plot(each.mean(), place, "D", color=BLUE, ms=6)
    ax.text(-0.012, place, name, ha="right", va="center")
ax.set(
    ylim=(3.5, -0.9),
    xlim=(0, 0.75),
    yticks=[],
    xlabel="Spearman's ρ; small dots are people, diamonds their mean",
)
ax.spines["left"].set_visible(False)
ax.axvline(0, color=FAINT, lw=0.8)
figure.suptitle(SOURCE, x=0.01, ha="left", fontsize=7.5, color=FAINT)
plt.show()

# %% [markdown]
# With the real data, a single word about each picture, alive or not, reaches the lower edge of the ceiling, and pixels come nowhere near. Whoever scores a network on these data should put both beside it. With isocortex that is one command, which adds what is missing here, an
# interval for each value:
#
# ```bash
# isocortex score -m gabor-pyramid -m pixels -m category -b Kriegeskorte2008.human-IT.rsa
# ```

# %%
if REAL:
    monkey = isocortex.load_dataset(
        "Kriegeskorte2008.monkey-IT", offline=True
    ).rdm.values[0]
    print(
        f"people and monkeys: r = {np.corrcoef(of_group, monkey)[0, 1]:.4f}",
        f"over {len(monkey)} pairs",
    )
    assert abs(np.corrcoef(of_group, monkey)[0, 1] - 0.4912) < 1e-4
else:
    print("people and monkeys: only with the real data")

# %% [markdown]
# This is the result that the data became known for. The same matrix was made from single neurons of two monkeys who saw the same pictures, and over the pairs the two species agree with r = .49.
#
# Kriegeskorte N, Mur M, Bandettini PA (2008). Representational similarity analysis: connecting the branches of systems neuroscience. *Frontiers in Systems Neuroscience* 2: 4. Kriegeskorte N, Mur M, Ruff DA, Kiani R, Bodurka J, Esteky H, Tanaka K, Bandettini PA (2008). Matching categorical object representations in inferior temporal cortex of man and monkey. *Neuron* 60: 1126–1141. Nili H, Wingfield C, Walther A, Su L,
# Marslen-Wilson W, Kriegeskorte N (2014). A toolbox for representational similarity analysis. *PLOS Computational Biology* 10: e1003553.
