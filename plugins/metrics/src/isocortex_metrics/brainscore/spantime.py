"""``brainscore-spantime-pls``: one partial least squares over stimuli and time, judged in every bin of time.

Brain-Score's ``spantime_pls`` stacks all bins of time under each other and fits one regression with weights that all
bins share. A model whose layers do not change in time gives every bin the same features. Then X of all bins is n_bins
copies of X, and every product that NIPALS forms of it is n_bins times the one with the mean of Y over bins:

    [X; X; …]ᵀ [Y₁; Y₂; …] = n_bins · Xᵀ mean_t Y_t

so that weights, their stop and the predictions are those of a regression on the mean over bins, which is what is fitted
here. Its prediction is correlated with the responses of every bin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.data import Dataset, stimulus_order
from isocortex.errors import DataError, shorten
from isocortex.interfaces import Comparison, MetricPlugin, Preparation, Split, check_settings
from isocortex.typing import Array
from isocortex_metrics.brainscore.ceiling import internal_consistency
from isocortex_metrics.brainscore.regression import PlsRegression, PlsSettings, published_splits
from isocortex_metrics.brainscore.regression_comparison import Predicted, RegressionComparison
from isocortex_metrics.brainscore.splits import brainscore_rows
from isocortex_metrics.numerics.arrays import on_device
from isocortex_metrics.target.responses import refuse_seed, responses_of

if TYPE_CHECKING:
    import xarray as xr

#: coordinates of the neuroids: what was recorded from, and when
SITE, TIME_BIN = "site", "time_bin"


def bins_of_sites(site: Sequence[str] | Array, time_bin: Sequence[str] | Array) -> Array:
    """Places of each site in each bin of time, (n_sites, n_bins), both in order of appearance.

    Parameters
    ----------
    site, time_bin
        (n_neuroids,).

    Raises
    ------
    DataError
        A site lacks a bin, or has one twice.

    Examples
    --------
    >>> bins_of_sites(["a", "b", "a", "b"], ["70-80", "70-80", "80-90", "80-90"]).tolist()
    [[0, 2], [1, 3]]
    """
    sites, bins = (list(dict.fromkeys(map(str, names))) for names in (site, time_bin))
    places: dict[tuple[str, str], int] = {}
    for place, key in enumerate(zip(map(str, site), map(str, time_bin), strict=True)):
        if key in places:
            raise DataError(f"The site {key[0]!r} has the time bin {key[1]!r} twice. Expected each once.")
        places[key] = place
    absent = [f"{one} in {when}" for one in sites for when in bins if (one, when) not in places]
    if absent:
        raise DataError(f"Expected every site in every time bin; found no responses of {shorten(absent)}.")
    return np.array([[places[one, when] for when in bins] for one in sites])


class SpantimePlsRegression(PlsRegression):
    """Partial least squares on the mean over bins of time; every bin is predicted by it."""

    def __init__(self, n_components: int, device: str, places: Array) -> None:
        super().__init__(n_components, device)
        self.places = places

    def predict(
        self, prepared: Any, responses: Array, splits: Sequence[Split], *, inner: bool = False
    ) -> Iterator[Predicted]:
        """The same prediction for every bin of a site."""
        of_site = self._of_site(responses)
        for part in super().predict(prepared, self._mean(responses), splits, inner=inner):
            yield Predicted(part.deviation[:, of_site], np.asarray(part.offset)[of_site], part.facts)

    def predict_permuted(
        self, prepared: Any, responses: Array, rows: Array, splits: Sequence[Split], *, inner: bool = False
    ) -> Iterator[Array]:
        """As ``predict``, for all orders of the responses."""
        of_site = self._of_site(responses)
        for part in super().predict_permuted(prepared, self._mean(responses), rows, splits, inner=inner):
            yield part[:, :, of_site]

    def _mean(self, responses: Array) -> Array:
        """(n_stimuli, n_sites)."""
        return responses[:, self.places].mean(axis=2)

    def _of_site(self, responses: Array) -> Array:
        """Number of the site of each neuroid."""
        of_site = np.empty(responses.shape[1], dtype=np.intp)
        of_site[self.places] = np.arange(len(self.places))[:, None]
        return of_site


class SpantimePls(MetricPlugin):
    """Brain-Score's ``spantime_pls``, for models whose layers do not change in time."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average repetitions, draw the published splits, and estimate the ceiling of every bin.

        Raises
        ------
        SettingsError
            Settings that are not valid, or a seed other than 0.
        DataError
            No responses, neuroids with one of the coordinates ``site`` and ``time_bin``, or sites that lack a bin.
        """
        chosen = check_settings(PlsSettings, settings, self.card.id)
        refuse_seed(seed, self.card.id)
        on_device(np.zeros(1), device)
        rows = brainscore_rows(target, stratify=chosen.stratify, metric=self.card.id)
        responses = responses_of(target, self.card.id)
        places = self._places(responses)
        splits, attrs = published_splits(rows, chosen)
        return RegressionComparison(
            rows,
            stimulus_order(responses),
            splits,
            SpantimePlsRegression(chosen.n_components, device, places),
            ceiling=internal_consistency(responses),
            inner_folds=chosen.inner_folds,
            attrs=attrs,
            preparation=preparation,
        )

    def _places(self, responses: xr.DataArray) -> Array:
        """Places of sites in bins of time; responses that know neither are one bin."""
        absent = [name for name in (SITE, TIME_BIN) if name not in responses.coords]
        if len(absent) == 1:
            raise DataError(
                f"The metric {self.card.id!r} takes one neuroid for each site and time bin, with the coordinates "
                f"{SITE!r} and {TIME_BIN!r}; found no {absent[0]!r}."
            )
        if absent:
            return np.arange(responses.sizes["neuroid"])[:, None]
        return bins_of_sites(responses[SITE].values, responses[TIME_BIN].values)
