r"""Responses that are made of one layer of one candidate at a known reliability.

U holds the left singular vectors of the layer's standardised units over the stimuli of a benchmark. Neuroid j of the
recorded data set, with the participant and region that it has there, is given

    s_j = Σ_k w_jk u_k,  w_jk ~ N(0, q_k), scaled to variance 1,    y_j = √c_j s_j + √(1 − c_j) e_j,  e ~ N(0, 1),

so that c_j is the reliability of y_j and √c_j the correlation that the truth itself could reach. Weights and noise are
drawn for each participant apart, and are the same at every c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.typing import Array
from isocortex_simulated.draws import Floats, Stream

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.data import Dataset

DRAW = "draw {} | {}"


@dataclass(frozen=True)
class Template:
    """What simulated responses take over from the recorded ones.

    Attributes
    ----------
    dataset
        The recorded data set, as the benchmark selects it.
    stimulus_id
        Its stimuli in the order of the responses.
    participants
        One array of places of neuroids for each participant, in order of appearance; pooled neuroids are one.
    reliability
        (n_neuroids,) unbiased reliability of the mean over repetitions within 0 and 1; None where nothing was repeated.
    trials
        (n_repetitions, n_stimuli, n_neuroids), of which spectra are estimated; None where nothing was repeated.
    """

    dataset: Dataset
    stimulus_id: tuple[str, ...]
    participants: tuple[Array, ...]
    reliability: Floats | None
    trials: Floats | None

    @classmethod
    def of(cls, dataset: Dataset) -> Template:
        """Take what is needed of recorded responses.

        Raises
        ------
        DataError
            If the data set has no responses.
        """
        from isocortex.data import repetitions, stimulus_order
        from isocortex.errors import DataError
        from isocortex.scoring import codes_of
        from isocortex_metrics.ceilings.reliability import (
            reliability,
            reliability_of_trials,
            unbiased_reliability,
        )

        if dataset.responses is None:
            raise DataError(
                f"The data set {dataset.id!r} holds {dataset.kind}; responses can be made where responses are."
            )
        trials = repetitions(dataset.responses)
        known = None
        if len(trials) > 1:
            found = reliability_of_trials(trials) if np.isnan(trials).any() else reliability(trials)
            known = np.clip(np.nan_to_num(unbiased_reliability(found, trials.shape[1])), 0.0, 1.0)
        codes = codes_of(dataset.responses)
        people = tuple(np.flatnonzero(codes == code) for code in range(int(codes.max()) + 1))
        ids = stimulus_order(dataset.responses)
        return cls(dataset, ids, people, known, trials if known is not None else None)

    @property
    def n_neuroids(self) -> int:
        """Number of neuroids."""
        return sum(map(len, self.participants))

    def levels(self, c: float | None) -> Floats:
        """Reliabilities (n_neuroids,): the recorded ones (None), or one for all."""
        if c is not None:
            return np.full(self.n_neuroids, c)
        assert self.reliability is not None
        return self.reliability


@dataclass(frozen=True)
class Brain:
    """Signal and noise of one draw.

    Attributes
    ----------
    signal, noise
        (n_stimuli, n_neuroids): s, of variance 1, and e.
    """

    signal: Floats
    noise: Floats

    def at(self, c: Floats) -> Floats:
        """Responses (n_stimuli, n_neuroids) of the reliabilities c (n_neuroids,).

        Examples
        --------
        >>> Brain(np.ones((2, 1)), np.zeros((2, 1))).at(np.array([0.25])).tolist()
        [[0.5], [0.5]]
        """
        return np.sqrt(c) * self.signal + np.sqrt(1.0 - c) * self.noise


def brain_of(u: Floats, variances: Floats, template: Template, seed: int, name: str) -> Brain:
    """Draw a brain that reads the components of a layer.

    Parameters
    ----------
    u
        (n_stimuli, n_components), at least as many as `variances`.
    variances
        q_k.
    template
        Participants and their neuroids.
    seed, name
        Of everything that is drawn.
    """
    signal = np.empty((len(u), template.n_neuroids))
    for number, places in enumerate(template.participants):
        weights = Stream(seed, f"{name}/{number}/weights").normal(len(variances), len(places))
        read = u[:, : len(variances)] @ (np.sqrt(variances)[:, None] * weights)
        read = read - read.mean(axis=0)
        signal[:, places] = read / read.std(axis=0)
    return Brain(signal, Stream(seed, f"{name}/noise").normal(*signal.shape))


# --- as data sets -----------------------------------------------------------------------------------------------------


def as_dataset(template: Template, values: Floats) -> Dataset:
    """Make a data set of simulated responses (n_stimuli, n_neuroids), one presentation of each stimulus."""
    return _made(template, values, _coordinates(template))


def together(template: Template, draws: list[Floats], apart: str) -> Dataset:
    """Make one data set of several draws, whose regions (and participants) are kept apart by their names.

    Parameters
    ----------
    template
        What the draws have in common.
    draws
        (n_stimuli, n_neuroids) each.
    apart
        "region": a layer is chosen for each region of each draw; "draw": for each draw.
    """
    own = _coordinates(template)
    n_neuroids = template.n_neuroids
    named: dict[str, list[str]] = {"subject": [], "region": [], "neuroid_id": []}
    for number in range(len(draws)):
        for key, names in named.items():
            whole = key not in own or (key == "region" and apart == "draw")
            labels = ["all"] * n_neuroids if whole else list(map(str, own[key]))
            names += [DRAW.format(number, label) for label in labels]
    return _made(template, np.concatenate(draws, axis=1), named)


def _coordinates(template: Template) -> dict[str, Any]:
    responses: xr.DataArray | None = template.dataset.responses
    assert responses is not None
    return {str(name): item.values for name, item in responses.coords.items() if item.dims == ("neuroid",)}


def _made(template: Template, values: Floats, columns: dict[str, Any]) -> Dataset:
    from isocortex.data import Dataset, make_responses

    made = make_responses(values, template.stimulus_id, neuroid=columns, units="standard deviations")
    return Dataset(template.dataset.id, template.dataset.stimuli, responses=made)
