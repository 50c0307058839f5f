# %% [markdown]
# # The McCulloch-Pitts unit
#
# In 1943 Warren McCulloch and Walter Pitts asked what a nerve cell could compute if nothing about it mattered but whether it fires. Their answer is
# the smallest artificial neuron there is: it adds up how many of its excitatory inputs are on, fires if there are enough of them, and is silent whenever
# a single inhibitory input is on. Every network that isocortex scores grew out of this idea. This page builds the unit, checks it on five
# cells whose answers are known, shows what one unit can and cannot compute, and then lets units act on each other over time.

# %% tags=["setup"]
"""What this page needs; where it is installed, nothing happens."""
# by hand: pip install numpy matplotlib

import importlib.util
import subprocess
import sys

needed = {"numpy": "numpy", "matplotlib": "matplotlib"}
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
# ## One unit
#
# A unit has a threshold θ. Its inputs are 0 or 1. With $E$ the number of excitatory inputs that are on and $I$ the number of inhibitory ones,
#
# $$y = 1 \text{ if } E \ge \theta \text{ and } I = 0, \text{ otherwise } 0.$$
#
# Inhibition is *absolute*: it is no negative number that enough excitation could outweigh, it is a veto.


# %%
def fires(excitatory, inhibitory, theta):
    """Whether a unit fires: enough excitation, and no inhibition at all."""
    return int(sum(excitatory) >= theta and not any(inhibitory))


# %% [markdown]
# ## Five cells
#
# The answers of these five cells are known beforehand. The fourth shows what a veto is: a thousand excitatory inputs against a single inhibitory one, and
# the cell stays silent. In a unit of today, which adds up weights of both signs, it would fire.

# %%
cells = [
    # excitatory, inhibitory, threshold, fires?
    ([1], [0], 1, 1),
    ([1], [1], 1, 0),
    ([1, 1], [], 3, 0),
    ([1] * 1000, [1], 1, 0),
    ([], [1, 1], 1, 0),
]
for excitatory, inhibitory, theta, known in cells:
    found = fires(excitatory, inhibitory, theta)
    print(
        f"{sum(excitatory):5d} excitatory on, {sum(inhibitory)} inhibitory on,",
        f"threshold {theta}: {'fires' if found else 'silent'}",
    )
    assert found == known

# %% alt="Five cells drawn as circles with their inputs; only the first, with one excitatory input on and its inhibitory input off, fires"
figure, axes = plt.subplots(1, 5, figsize=(6.2, 1.7))
for ax, (excitatory, inhibitory, theta, _) in zip(axes, cells, strict=True):
    inputs = [(on, BLUE) for on in excitatory[:4]] + [
        (on, RED) for on in inhibitory
    ]
    for place, (on, colour) in enumerate(inputs):
        y = 0.5 + 0.55 * ((len(inputs) - 1) / 2 - place) / max(
            1, len(inputs) - 1
        )
        ax.plot(
            [0.05, 0.5],
            [y, 0.5],
            color=colour if on else RULE,
            lw=1.4,
            zorder=0,
        )
        ax.plot(
            0.05, y, "o", color=colour, mfc=colour if on else "white", ms=6
        )
    on = fires(excitatory, inhibitory, theta)
    ax.add_patch(
        plt.Circle(
            (0.58, 0.5), 0.19, fc=ORANGE if on else "white", ec=INK, lw=1
        )
    )
    ax.text(0.58, 0.49, f"θ {theta}", ha="center", va="center")
    ax.plot([0.77, 1.0], [0.5, 0.5], color=ORANGE if on else RULE, lw=1.6)
    many = f"\n{len(excitatory):,} blue ones" if len(excitatory) > 4 else ""
    ax.text(
        0.5, 0.12, ("fires" if on else "silent") + many, ha="center", va="top"
    )
    ax.set(xlim=(-0.08, 1.05), ylim=(-0.18, 0.9), aspect="equal")
    ax.axis("off")
figure.suptitle(
    "Excitatory inputs blue, inhibitory red; filled is on",
    x=0.01,
    ha="left",
    fontsize=8.5,
)
plt.show()

# %% [markdown]
# ## What one unit computes
#
# With two inputs, the threshold alone turns OR into AND, and inhibition gives NOT and AND NOT. To see everything that a unit of two inputs can be, we try it
# all: each input is absent, inhibitory, or excitatory once or twice, and the threshold goes from 0 to 5. Of the sixteen functions of two inputs, how many are
# among them?

# %%
from itertools import product

cases = list(product((0, 1), repeat=2))


def table_of(kinds, theta):
    """Answers of a unit to the four pairs of inputs.

    A kind is the number of excitatory contacts, or -1 for inhibition.
    """
    return tuple(
        fires(
            [
                on
                for on, kind in zip(case, kinds, strict=True)
                for _ in range(max(kind, 0))
            ],
            [on for on, kind in zip(case, kinds, strict=True) if kind < 0],
            theta,
        )
        for case in cases
    )


found = {}
for theta in range(6):
    for kinds in product((0, -1, 1, 2), repeat=2):
        found.setdefault(table_of(kinds, theta), (kinds, theta))

names = {
    (0, 0, 0, 1): "AND",
    (0, 1, 1, 1): "OR",
    (1, 0, 0, 0): "NOR",
    (0, 0, 1, 0): "a AND NOT b",
    (1, 1, 0, 0): "NOT a",
    (0, 1, 1, 0): "XOR",
    (1, 1, 1, 0): "NAND",
    (1, 0, 0, 1): "EQUAL",
}
for table, name in names.items():
    how = found.get(table)
    print(
        f"{name:12s} {table} ",
        f"contacts {how[0]}, threshold {how[1]}" if how else "no single unit",
    )
print(len(found), "of 16 functions")

assert (0, 1, 1, 0) not in found  # XOR
# inhibition is absolute: one input that is on would silence a NAND already
assert (1, 1, 1, 0) not in found
assert (0, 0, 0, 1) in found
assert (0, 1, 1, 1) in found

# %% [markdown]
# XOR, "one of them but not both", is not among them, and neither is NAND. A second layer helps at once: a AND NOT b, b AND NOT a, and an OR of the two.


# %%
def xor(a, b):
    """Two units that veto each other's input, and a third that takes either."""
    return fires([fires([a], [b], 1), fires([b], [a], 1)], [], 1)


assert [xor(a, b) for a, b in cases] == [0, 1, 1, 0]

# %% alt="Answers to the four pairs of inputs for OR, AND, a AND NOT b, which one unit gives, and XOR, which takes two layers"
figure, axes = plt.subplots(1, 4, figsize=(6.2, 2.2), sharey=True)
shown = {
    "OR": lambda a, b: fires([a, b], [], 1),
    "AND": lambda a, b: fires([a, b], [], 2),
    "a AND NOT b": lambda a, b: fires([a], [b], 1),
    "XOR, two layers": xor,
}
for ax, (name, gate) in zip(axes, shown.items(), strict=True):
    for a, b in cases:
        ax.plot(
            a, b, "o", ms=15, mec=INK, mfc=ORANGE if gate(a, b) else "white"
        )
    ax.set(
        title=name,
        xticks=(0, 1),
        yticks=(0, 1),
        xlim=(-0.5, 1.5),
        ylim=(-0.5, 1.5),
        xlabel="a",
        aspect="equal",
    )
axes[0].set_ylabel("b")
plt.show()

# %% [markdown]
# ## A network over time
#
# Each unit needs one step to answer. If $N_i(t)$ says whether unit $i$ fires at time $t$, and the weights $w_{ij}$ and the vetoes $v_{ij}$ are 0 or 1, then
#
# $$N_i(t+1) = 1 \text{ if } \sum_j w_{ij} N_j(t) \ge \theta_i \text{ and } \sum_j v_{ij} N_j(t) = 0, \text{ otherwise } 0.$$
#
# The network of the whole is one line of matrices.

# %%
import numpy as np


def step(state, weights, vetoes, theta):
    """All units one step later."""
    return ((weights @ state >= theta) & (vetoes @ state == 0)).astype(int)


def run(state, weights, vetoes, theta, n_steps, given=None):
    """States over time, (n_steps + 1, n_units).

    given is what comes from outside: unit → values over time.
    """
    states = [np.asarray(state)]
    for t in range(n_steps):
        following = step(states[-1], weights, vetoes, theta)
        for unit, values in (given or {}).items():
            following[unit] = values[t + 1]
        states.append(following)
    return np.array(states)


# %% [markdown]
# ### A ring remembers
#
# Five units, each excited by the one before it. One pulse goes round for ever: the network has a memory, although no unit has. A sixth
# unit that inhibits all of them wipes it out in a single step.

# %%
ring = np.zeros((6, 6), dtype=int)
ring[range(5), [4, 0, 1, 2, 3]] = 1
stop = np.zeros((6, 6), dtype=int)
stop[:5, 5] = 1
pulse = [1, 0, 0, 0, 0, 0]
silence = run(
    pulse, ring, stop, 1, 24, given={5: [int(t == 16) for t in range(25)]}
)

for t in range(17):
    assert silence[t, :5].tolist() == [
        int(unit == t % 5) for unit in range(5)
    ]
assert not silence[17:, :5].any()

# %% alt="A raster of five units over 24 steps: a pulse goes round diagonally until the inhibitory unit fires at step 16, then nothing"
figure, ax = plt.subplots(figsize=(6.2, 1.9))
ax.imshow(
    np.where(silence.T, [[1]] * 5 + [[2]], 0),
    cmap=plt.matplotlib.colors.ListedColormap(["white", BLUE, RED]),
    aspect="auto",
)
ax.set(
    xlabel="time, steps",
    yticks=range(6),
    yticklabels=[*(f"unit {n}" for n in range(1, 6)), "inhibition"],
)
ax.hlines(np.arange(0.5, 5), -0.5, 24.5, color=RULE, lw=0.7)
plt.show()

# %% [markdown]
# ### Why a short touch of cold feels hot
#
# McCulloch and Pitts' own example: if you touch something cold for a moment you feel heat, if you hold it you feel cold. Two receptors, one for heat and one for cold, and
# four units reproduce it. The unit *trace* repeats the cold receptor one step later. The unit *ended* fires when the trace is on and the receptor is not any more: the touch was short. *Cold* takes both trace and receptor, so it needs two steps
# of touch. *Hot* takes the heat receptor, or *ended*.

# %%
units = ["heat receptor", "cold receptor", "trace", "ended", "hot", "cold"]
weights, vetoes = np.zeros((6, 6), dtype=int), np.zeros((6, 6), dtype=int)
weights[2, 1] = 1  # trace: cold receptor
weights[3, 2] = vetoes[3, 1] = (
    1  # ended: trace, unless the receptor is still on
)
weights[4, [0, 3]] = 1  # hot: heat receptor or ended
weights[5, [1, 2]] = 1  # cold: receptor and trace
theta = np.array(
    [9, 9, 1, 1, 1, 2]
)  # receptors are driven from outside alone


def feel(heat, cold):
    """States over time for these two inputs."""
    start = [heat[0], cold[0], 0, 0, 0, 0]
    return run(
        start, weights, vetoes, theta, len(heat) - 1, given={0: heat, 1: cold}
    )


# what the network should say: hot(t) = heat(t-1) or (cold(t-3) and not cold(t-2)), cold(t) = cold(t-2) and cold(t-1)
for inputs in product((0, 1), repeat=12):
    heat, cold = inputs[:6], inputs[6:]
    states = feel(heat, cold)
    for t in range(3, 6):
        assert states[t, 4] == int(
            heat[t - 1] or (cold[t - 3] and not cold[t - 2])
        )
        assert states[t, 5] == int(cold[t - 2] and cold[t - 1])
print("the same as the formula for all", 2**12, "inputs of six steps")

# %% alt="Two rasters of the six units over time: a touch of cold of one step ends in hot, one of four steps in cold and then hot"
figure, axes = plt.subplots(1, 2, figsize=(6.2, 2.1), sharey=True)
for ax, length in zip(axes, (1, 4), strict=True):
    states = feel([0] * 10, [int(1 <= t < 1 + length) for t in range(10)])
    colours = np.array([0, 1, 1, 1, 2, 3])
    ax.imshow(
        (states * colours).T,
        cmap=plt.matplotlib.colors.ListedColormap(
            ["white", FAINT, ORANGE, BLUE]
        ),
        vmin=0,
        vmax=3,
        aspect="auto",
    )
    ax.hlines(np.arange(0.5, 5), -0.5, 9.5, color=RULE, lw=0.7)
    ax.set(
        title=f"cold for {length} step{'s' * (length > 1)}",
        xlabel="time, steps",
        yticks=range(6),
        yticklabels=units,
    )
plt.show()

# %% [markdown]
# A long touch of cold ends with a moment of heat, when it is let go. That follows from the network, and nobody put it in: a model says more than what it was
# built for, and this is what can be tested.
#
# ## What it cannot do
#
# Nothing here learns. Weights and thresholds are set by whoever builds the network. The next page, on the perceptron, lets a unit find its weights from examples. In isocortex,
# the model `threshold-units` is a bank of such units with random contacts over the pixels of a picture: a floor that any network of today should beat.
#
# McCulloch WS, Pitts W (1943). A logical calculus of the ideas immanent in nervous activity. *The Bulletin of Mathematical Biophysics* 5: 115–133.
