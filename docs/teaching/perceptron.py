# %% [markdown]
# # The perceptron, and why it took a hidden layer
#
# Frank Rosenblatt's perceptron of 1958 is a unit that finds its own weights: whenever it is wrong, it moves them a little towards the right answer. It is certain to succeed where a
# straight line can divide the two classes, and certain to fail where none can, as for XOR. This page shows both, puts a number on "certain", says why
# today's networks do not use a step, and ends with a single hidden layer, which does XOR.

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
# ## The rule
#
# A unit adds up its weighted inputs and a bias, and answers +1 or −1. For an example with inputs $x$ and target $t$, the *error* is $e = t - y$, and with a learning rate $\eta$
#
# $$w \leftarrow w + \eta\, e\, x, \qquad b \leftarrow b + \eta\, e.$$
#
# This is the delta rule. Where the answer is right, $e$ is 0 and nothing moves.

# %%
import numpy as np


def answer(x, w, b):
    """+1 or -1 for each row of x, (n, n_inputs)."""
    return np.where(x @ w + b > 0, 1.0, -1.0)


def learn(x, t, n_epochs, rate=0.5):
    """Go through all examples, at most n_epochs times.

    Gives weights, bias, mistakes of each epoch, every line on the way.
    """
    w, b, mistakes, lines = np.zeros(x.shape[1]), 0.0, [], []
    for _ in range(n_epochs):
        n_wrong = 0
        for example, target in zip(x, t, strict=True):
            e = target - answer(example[None], w, b)[0]
            w, b = w + rate * e * example, b + rate * e
            n_wrong += int(e != 0)
            if e != 0:
                lines.append((w, b))
        mistakes.append(n_wrong)
        if n_wrong == 0:
            break
    return w, b, mistakes, lines


# %% [markdown]
# ## Where a line divides the classes, it is found
#
# Sixty points on two sides of a narrow gap. The perceptron makes some mistakes and then never another one.

# %%
draw = np.random.default_rng(4)
x = draw.uniform(-1, 1, (400, 2))
side = x @ [0.8, -0.6] + 0.1
x, t = x[abs(side) > 0.04][:60], np.sign(side[abs(side) > 0.04][:60])

w, b, mistakes, lines = learn(x, t, 100)
print("mistakes of each epoch:", mistakes)
assert mistakes[-1] == 0
assert (answer(x, w, b) == t).all()

# %% [markdown]
# How many mistakes can there be? Novikoff's theorem of 1962 bounds them. Write the bias as a weight of an input that is always 1, let $R$ be the length of the longest example, and $\gamma$ how far the nearest example
# lies from the dividing line that is best known. Then there are at most $(R / \gamma)^2$ mistakes, in whatever order the examples come. We know such a line, since we made the points with it.

# %%
with_one = np.c_[x, np.ones(len(x))]
known = np.array([0.8, -0.6, 0.1])
radius = np.linalg.norm(with_one, axis=1).max()
gap = (t * (with_one @ known)).min() / np.linalg.norm(known)
bound = (radius / gap) ** 2
print(f"{sum(mistakes)} mistakes, at most {bound:.0f}")
assert sum(mistakes) <= bound

for order in range(50):
    shuffled = np.random.default_rng(order).permutation(len(x))
    n_mistakes = learn(x[shuffled], t[shuffled], 1000)[2]
    assert n_mistakes[-1] == 0
    assert sum(n_mistakes) <= bound

# %% alt="Left, points of two classes with the dividing lines on the way in grey and the last one in black; right, mistakes per epoch falling to 0"
figure, (left, right) = plt.subplots(
    1, 2, figsize=(6.2, 2.7), width_ratios=(1.2, 1)
)
across = np.array([-1.1, 1.1])
for weights, bias in lines[:-1]:
    if weights[1]:
        left.plot(
            across,
            -(weights[0] * across + bias) / weights[1],
            color=RULE,
            lw=0.8,
            zorder=0,
        )
left.plot(across, -(w[0] * across + b) / w[1], color=INK)
for target, colour in ((1, BLUE), (-1, ORANGE)):
    left.plot(
        *x[t == target].T, "o", color=colour, ms=4, mec="white", mew=0.5
    )
left.set(
    xlim=(-1.05, 1.05),
    ylim=(-1.05, 1.05),
    xlabel="x₁",
    ylabel="x₂",
    aspect="equal",
    title="Each line after a mistake",
)
right.plot(range(1, len(mistakes) + 1), mistakes, "o-", ms=4)
right.set(xlabel="epoch", title="Mistakes of each epoch", ylim=(-0.5, None))
plt.show()

# %% [markdown]
# ## XOR: no line, no end
#
# Of the four points of XOR, the two of each class lie at opposite corners of a square. A line can have three of them on their right side, and never all four. The rule does not notice: it goes round for ever.

# %%
corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], dtype=float)
xor = np.array([-1, 1, 1, -1], dtype=float)

*_, for_ever, _ = learn(corners, xor, 1000)
print("mistakes in the last ten of", len(for_ever), "epochs:", for_ever[-10:])
assert len(for_ever) == 1000
assert min(for_ever) > 0

# %% [markdown]
# It is not for want of time. Adding up what the four points would ask of a line shows it: $b - w_1 - w_2 < 0$ and $b + w_1 + w_2 < 0$ give $b < 0$, while $b - w_1 + w_2 > 0$ and $b + w_1 - w_2 > 0$ give $b > 0$.
# A hundred thousand random lines agree: three right is the most.

# %%
directions = draw.normal(size=(100_000, 3))
right_answers = (
    np.sign(directions[:, :2] @ corners.T + directions[:, 2:]) == xor
).sum(axis=1)
print("right of 4, at most:", right_answers.max())
assert right_answers.max() == 3

for gate in ([-1, -1, -1, 1], [-1, 1, 1, 1], [1, 1, 1, -1]):  # AND, OR, NAND
    assert learn(corners, np.array(gate, dtype=float), 100)[2][-1] == 0

# %% [markdown]
# ## A step has no slope
#
# A second layer would help, as it does for McCulloch and Pitts' units. But how should the weights of the first layer learn? The error is seen only at the end, and a step passes nothing on: move a weight a little, and the answer does not change at
# all. Its slope is 0 everywhere but at one place, where it has none. A smooth step has a slope everywhere. A usual one is the hyperbolic tangent, with $\tanh'(z) = 1 - \tanh^2(z)$, and the delta rule becomes the gradient
# of the squared error $\tfrac12 (t - y)^2$, $y = \tanh(w \cdot x + b)$:
#
# $$w \leftarrow w + \eta\, e\, (1 - y^2)\, x, \qquad b \leftarrow b + \eta\, e\, (1 - y^2).$$

# %%
z, h = np.linspace(-3, 3, 601), 1e-6
slope_of_step = (np.sign(z + h) - np.sign(z - h)) / (2 * h)
slope_of_tanh = (np.tanh(z + h) - np.tanh(z - h)) / (2 * h)
assert (slope_of_step[z != 0] == 0).sum() == (z != 0).sum()
assert abs(slope_of_tanh - (1 - np.tanh(z) ** 2)).max() < 1e-9

# %% alt="Left, a step and tanh; right, their slopes: 0 everywhere for the step, a hill for tanh"
figure, (left, right) = plt.subplots(1, 2, figsize=(6.2, 2.2))
left.plot(z, np.where(z > 0, 1, -1), color=FAINT, ds="steps-mid")
left.plot(z, np.tanh(z), color=BLUE)
left.text(0.25, 1.08, "step", color=FAINT)
left.text(0.75, 0.3, "tanh", color=BLUE)
left.set(title="Answer", xlabel="weighted sum", ylim=(-1.15, 1.3))
right.plot(z[z != 0], slope_of_step[z != 0], color=FAINT)
right.plot(z, slope_of_tanh, color=BLUE)
right.text(1.2, 0.45, "tanh", color=BLUE)
right.text(-3.0, 0.55, "step: nothing\nto follow", color=FAINT)
right.set(title="Slope", xlabel="weighted sum", ylim=(-0.05, 1.15))
plt.show()

# %% [markdown]
# ## One hidden layer can
#
# Four hidden units with tanh, one output with tanh, all weights moved down the slope of the error. The error of the output is handed back through the weights, which is all that back-propagation is: `hidden_error` below. First we prove that
# the slopes are right, by moving every weight by a hair and looking at what the loss does.


# %%
def start(n_hidden, seed):
    """Random weights and biases, of the hidden units and the output."""
    draw = np.random.default_rng(seed)
    return [
        draw.normal(size=(2, n_hidden)),
        draw.normal(size=n_hidden),
        draw.normal(size=n_hidden),
        np.zeros(1),
    ]


def forward(x, weights):
    """Answers of the hidden units and of the output."""
    hidden = np.tanh(x @ weights[0] + weights[1])
    return hidden, np.tanh(hidden @ weights[2] + weights[3])


def loss_and_slopes(x, t, weights):
    """Half the sum of squared errors, and its slope for every weight."""
    hidden, y = forward(x, weights)
    error = (y - t) * (1 - y**2)
    hidden_error = np.outer(error, weights[2]) * (1 - hidden**2)
    slopes = [
        x.T @ hidden_error,
        hidden_error.sum(axis=0),
        hidden.T @ error,
        error.sum(keepdims=True),
    ]
    return 0.5 * ((t - y) ** 2).sum(), slopes


weights = start(4, seed=0)
_, slopes = loss_and_slopes(corners, xor, weights)
for part, slope in zip(weights, slopes, strict=True):
    for place in np.ndindex(part.shape):
        kept = part[place]
        part[place] = kept + 1e-6
        above = loss_and_slopes(corners, xor, weights)[0]
        part[place] = kept - 1e-6
        below = loss_and_slopes(corners, xor, weights)[0]
        part[place] = kept
        assert abs((above - below) / 2e-6 - slope[place]) < 1e-8


# %%
def train(weights, n_steps=1500, rate=0.2):
    """Walk down the slope, changing the weights; gives the losses."""
    losses = []
    for _ in range(n_steps):
        loss, slopes = loss_and_slopes(corners, xor, weights)
        losses.append(loss)
        for part, slope in zip(weights, slopes, strict=True):
            part -= rate * slope
    return losses


curves = {}
for seed in range(20):
    weights = start(4, seed)
    curves[seed] = train(weights)
    if seed == 0:
        shown = weights
n_solved = sum(losses[-1] < 0.05 for losses in curves.values())
print(
    f"{n_solved} of {len(curves)} random starts do XOR",
    f"\nanswers of the first: {np.round(forward(corners, shown)[1], 2)}",
)
assert n_solved >= 18
assert (np.sign(forward(corners, shown)[1]) == xor).all()

# %% alt="Left, answers of the network over the plane, with the four corners on their right sides; right, loss over steps for twenty random starts"
figure, (left, right) = plt.subplots(1, 2, figsize=(6.2, 2.7))
grid = np.stack(
    np.meshgrid(np.linspace(-1.6, 1.6, 120), np.linspace(-1.6, 1.6, 120)),
    axis=-1,
)
plane = forward(grid.reshape(-1, 2), shown)[1].reshape(120, 120)
colours = plt.matplotlib.colors.LinearSegmentedColormap.from_list(
    "", ["#F7D9A0", "white", "#A6CDE6"]
)
left.imshow(
    plane,
    origin="lower",
    extent=(-1.6, 1.6, -1.6, 1.6),
    cmap=colours,
    vmin=-1,
    vmax=1,
)
left.contour(
    grid[0, :, 0], grid[:, 0, 1], plane, levels=[0], colors=INK, linewidths=1
)
for corner, target in zip(corners, xor, strict=True):
    left.plot(
        *corner, "o", color=BLUE if target > 0 else ORANGE, ms=8, mec="white"
    )
left.set(title="Answer over the plane", xlabel="x₁", ylabel="x₂")
for losses in curves.values():
    right.semilogy(losses, color=BLUE, lw=0.8, alpha=0.5)
right.axhline(2, color=FAINT, lw=0.8)
right.text(1500, 2.3, "always answering 0", ha="right", color=FAINT)
right.set(title="Loss, twenty random starts", xlabel="step")
plt.show()

# %% [markdown]
# A hidden layer turns the four corners into places that a line can divide. That is the whole idea of deep networks, and of the layers that isocortex compares with the brain: each layer lays out the stimuli anew, until what is asked for
# can be read out by a straight cut. The next page builds the machine that finds such slopes in any network, without anyone writing them down.
#
# Rosenblatt F (1958). The perceptron: a probabilistic model for information storage and organization in the brain. *Psychological Review* 65: 386–408. Novikoff ABJ (1962). On convergence proofs on perceptrons. *Symposium on the Mathematical Theory of Automata* 12: 615–622.
# Rumelhart DE, Hinton GE, Williams RJ (1986). Learning representations by back-propagating errors. *Nature* 323: 533–536.
