"""The words of the page: statistics, targets and everything else that the glossary explains."""

from __future__ import annotations

#: statistic → what its axis is called
STATISTICS = {
    "r": "correlation r",
    "r2": "explained variance R²",
    "r2_corrected": "noise-corrected explained variance R²",
    "explained_variance": "explained variance",
    "unique_r2": "unique explained variance",
    "rho": "rank correlation ρ",
    "rho_a": "rank correlation ρₐ",
    "tau_a": "rank correlation τₐ",
    "cosine": "cosine",
    "cka": "centred kernel alignment",
    "procrustes": "Procrustes similarity",
    "kappa": "error consistency κ",
    "observed_consistency": "observed consistency",
    "accuracy": "accuracy",
    "accuracy_difference": "difference in accuracy",
    "shape_bias": "shape bias",
    "permutation_r": "correlation r of permuted responses",
}
#: target → what the value is of
TARGETS = {
    "participant": "each participant, then averaged",
    "group-mean": "the mean over participants",
    "pooled": "pooled data",
}

GLOSSARY = {
    "value": (
        "value",
        "What the metric measured for one model on one benchmark, over everything that was held out. What it is "
        "called, r or R² or κ, stands above the column.",
    ),
    "interval": (
        "95 % interval",
        "The middle 95 % of the bootstrap draws: stimuli, and participants where there are several, were drawn anew "
        "with replacement. What was drawn is said below each table; where only stimuli were, the interval says nothing "
        "about other participants.",
    ),
    "range": (
        "range over seeds",
        "The smallest and the largest value over the random seeds of one control. Seeds are no participants, so this "
        "is no interval.",
    ),
    "ceiling": (
        "ceiling",
        "What the best possible model could reach, given the noise of the recordings. The estimator is named with it. "
        "It is shown only where it is of the same statistic and target as the values, and never cut off.",
    ),
    "ceiled": (
        "of the ceiling",
        "The value related to its ceiling in the way that the benchmark names. It can exceed 1, as a ceiling is an "
        "estimate.",
    ),
    "p": (
        "p",
        "Two-sided, from the bootstrap draws that both models share: how often the difference comes out at zero or on "
        "its other side. With 1,000 draws it cannot fall below .002.",
    ),
    "q": (
        "q",
        "p after Benjamini and Hochberg: if all differences with q ≤ .05 are believed, at most about 5 % of them are "
        "expected to be false. It depends on the family of tests, which is named below the table.",
    ),
    "told-apart": (
        "told apart",
        "Two models are told apart where the paired comparison of their draws has q ≤ .05 within the family of tests "
        "that is named. Models that are not told apart may still differ.",
    ),
    "control": (
        "control",
        "A model that should not explain the brain, or only by what is trivial: untrained or shuffled weights, noise, "
        "or the labels of the stimuli. A model is worth a claim where it lies above its controls.",
    ),
    "region": ("region", "A part of the recorded brain by which the benchmark splits its neuroids."),
    "neuroid": ("neuroid", "One recorded unit: a neuron, a site, a voxel or a component."),
    "layer": (
        "layer",
        "The part of a model whose activations are read out. Where several were searched, the layer is chosen on the "
        "training stimuli of each split and read out on its test stimuli; the one shown is read out most often.",
    ),
    "layer-rule": (
        "layer rule",
        "How the layer was chosen. Nested: within the training stimuli. Optimistic or overlapping: on what is also "
        "tested, so that the value is too high, and the more so the more layers were searched.",
    ),
    "stage": (
        "stage",
        "The relative depth of the layer that predicts a region best: 0 is the first layer of the model, 1 the last. "
        "Mean over participants.",
    ),
    "null": (
        "null predictions",
        "Predictions that do not vary over the test stimuli. They count as r = 0 and are counted here.",
    ),
    "split": ("split", "One division of the stimuli into those for training and those for the test."),
    "draws": ("bootstrap draws", "Samples of stimuli and participants, drawn with replacement from those recorded."),
    "published": (
        "published",
        "A number from a paper, not computed here. It is shown only where statistic and procedure are those of the "
        "benchmark.",
    ),
    "r": ("r", "Pearson's correlation of predicted and measured responses to stimuli that were held out."),
    "r2": ("R²", "Share of the variance of held-out responses that is explained."),
    "r2_corrected": ("noise-corrected R²", "R² related to the reliability of the responses, or of both sides."),
    "explained_variance": ("explained variance", "1 minus the variance of what is left over that of the response."),
    "unique_r2": (
        "unique explained variance",
        "R² of the model and the named baselines together, less R² of the baselines alone. It is 0 where the model "
        "adds nothing, and can be negative.",
    ),
    "rho": ("ρ", "Spearman's rank correlation, of dissimilarities where the metric compares RDMs."),
    "rho_a": ("ρₐ", "Spearman's rank correlation as expected when ties are broken at random."),
    "tau_a": ("τₐ", "Kendall's rank correlation in which ties count as undecided pairs."),
    "cosine": ("cosine", "Cosine of the angle between two vectors of dissimilarities."),
    "cka": (
        "CKA",
        "Centred kernel alignment: how alike two sets of responses are up to rotation and scale; 1 is equal.",
    ),
    "procrustes": ("Procrustes similarity", "How alike two sets of responses are after the best rotation; 1 is equal."),
    "kappa": (
        "κ",
        "Cohen's kappa of errors: whether two observers err on the same stimuli more than their accuracy makes.",
    ),
    "observed_consistency": ("observed consistency", "Share of stimuli on which both are right or both are wrong."),
    "accuracy": ("accuracy", "Share of right decisions."),
    "accuracy_difference": ("difference in accuracy", "Squared difference to the accuracy of people; less is better."),
    "shape_bias": ("shape bias", "Among decisions for shape or texture, the share of those for shape."),
    "permutation_r": (
        "r of permuted responses",
        "The mean r that chance gives: responses were handed round among the stimuli.",
    ),
}


def statistic_words(statistic: str) -> str:
    """What a statistic is called; one that is not known keeps its name.

    Examples
    --------
    >>> statistic_words("r"), statistic_words("dprime")
    ('correlation r', 'dprime')
    """
    return STATISTICS.get(statistic, statistic)


def symbol(statistic: str) -> str:
    """The short form of a statistic.

    Examples
    --------
    >>> symbol("rho"), symbol("dprime")
    ('ρ', 'dprime')
    """
    return GLOSSARY[statistic][0] if statistic in STATISTICS else statistic


def listed(names: list[str], most: int = 4) -> str:
    """Names as one reads them aloud.

    Examples
    --------
    >>> listed(["a", "b", "c"]), listed(["a", "b", "c"], most=2)
    ('a, b and c', 'a, b and 1 more')
    """
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def counted(n: int, one: str, several: str | None = None) -> str:
    """A count with its noun.

    Examples
    --------
    >>> counted(1, "model"), counted(1200, "stimulus", "stimuli")
    ('1 model', '1,200 stimuli')
    """
    return f"{n:,} {one if n == 1 else several or one + 's'}"
