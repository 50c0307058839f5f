"""The checks of metrics: a good metric passes, and each kind of bad metric fails the one check that is about it."""
# ruff: noqa: ARG002 - bad metrics ignore what they are given

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pytest
import xarray as xr
from pydantic import BaseModel, ConfigDict

from isocortex.activations.layer import Activations
from isocortex.catalogue.cards import MetricCard
from isocortex.data.dataset import Dataset, averaged, stimulus_order
from isocortex.data.response_checks import check_responses
from isocortex.errors import DataError, SettingsError
from isocortex.interfaces import Comparison, MetricPlugin, Preparation, Resampled, check_settings
from isocortex.testing import CheckFailed, check_metric
from isocortex.testing.metric_runs import MetricUnderTest
from isocortex.testing.metrics import METRIC_CHECKS
from isocortex.testing.outcomes import Check, CheckOutcome

N_FOLDS = 4


class Settings(BaseModel):
    """No settings."""

    model_config = ConfigDict(extra="forbid")


def pearson(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Correlate columns."""
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    return (first * second).sum(axis=0) / np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))


class Fit(Comparison):
    """Least squares with a constant, judged on held-out stimuli, layers chosen within the training stimuli."""

    statistic = "r"

    def __init__(self, responses: xr.DataArray) -> None:
        self.stimulus_id = stimulus_order(responses)
        self.n_stimuli = len(self.stimulus_id)
        self.responses = averaged(responses)
        self.neuroid = responses.isel(presentation=0, drop=True)
        fold = np.arange(self.n_stimuli) % N_FOLDS
        self.splits = [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(N_FOLDS)]

    def features(self, activations: Activations) -> np.ndarray:
        return activations.array(self.stimulus_id)

    def held_out(self, features: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        """Correlation on ``test`` of what was fitted on ``train``, (n_neuroids,)."""
        inputs = np.column_stack([features, np.ones(len(features))])
        weights = np.linalg.lstsq(inputs[train], self.responses[train], rcond=None)[0]
        return pearson(inputs[test] @ weights, self.responses[test])

    def selection(self, features: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        """The same within the training stimuli: two thirds against one third."""
        inner = np.arange(len(train)) % 3 == 0
        return self.held_out(features, train[~inner], train[inner])

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        if not isinstance(activations, Activations):
            activations = Activations.from_xarray(activations)
        features = self.features(activations)
        found = {
            name: np.stack([function(features, train, test) for train, test in self.splits])
            for name, function in {"r": self.held_out, "selection": self.selection}.items()
        }
        return xr.Dataset({name: (("split", "neuroid"), values) for name, values in found.items()}, self.neuroid.coords)


class Metric(MetricPlugin):
    """Least squares for responses."""

    comparison: type[Fit] = Fit

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        check_settings(Settings, settings, self.card.id)
        return type(self).comparison(self.responses(target))

    def responses(self, target: Dataset | xr.DataArray) -> xr.DataArray:
        if not isinstance(target, Dataset):
            return check_responses("responses", target)
        if target.responses is None:
            raise DataError(f"takes responses, found {target.kind}")
        return target.responses


# --- bad metrics, each in one respect ---------------------------------------------------------------------------------


class FitsTheTest(Fit):
    """Judges on the stimuli that it was fitted on."""

    def held_out(self, features, train, test):
        everything = np.arange(self.n_stimuli)
        return super().held_out(features, everything, everything)

    def selection(self, features, train, test):
        # nested, as far as it goes: otherwise the choice of a layer would leak as well
        return np.zeros(self.responses.shape[1])


class ChoosesOnTheTest(Fit):
    """Chooses the layer by the test stimuli, and calls it nested."""

    def selection(self, features, train, test):
        return self.held_out(features, train, test)


class FindsNothing(Fit):
    """0, whatever it is given."""

    def held_out(self, features, train, test):
        return np.zeros(self.responses.shape[1])


class ReadsByPosition(Fit):
    """Looks whether the stimuli are there, then takes the rows as they come."""

    def features(self, activations):
        activations.rows(self.stimulus_id)
        return activations.array()


class FillsMissing(Fit):
    """Stimuli without activations get zeros."""

    def features(self, activations):
        features = np.zeros((self.n_stimuli, activations.n_units))
        for row, name in enumerate(self.stimulus_id):
            if name in activations.stimulus_id:
                features[row] = activations.array([name])[0]
        return features


class FillsNaN(Fit):
    """Values that are not finite become 0."""

    def features(self, activations):
        whole = [np.nan_to_num(np.asarray(chunk)) for chunk in activations._chunks]
        return Activations("filled", activations.stimulus_id, whole).array(self.stimulus_id)


class NamesByPosition(Fit):
    """Sorts the names of neuroids, not their values."""

    def __init__(self, responses):
        super().__init__(responses)
        order = np.argsort(self.neuroid["neuroid_id"].values)
        self.neuroid = self.neuroid.isel(neuroid=order)


class DrawsAnew(Fit):
    """Folds from a generator without a seed."""

    def __init__(self, responses):
        super().__init__(responses)
        fold = np.random.default_rng().permutation(self.n_stimuli) % N_FOLDS
        self.splits = [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(N_FOLDS)]


class NamesNoTarget(Fit):
    """The summary does not say whose score it is."""

    def summarise(self, scores):
        return super().summarise(scores).model_copy(update={"target": "someone"})


class DrawsByNumber(Fit):
    """Draws are centred on the mean of all of them."""

    def resample(self, scores, n_draws, seed):
        draws = np.random.default_rng(seed).standard_normal(n_draws)
        return Resampled(draws - draws.mean(), "stimuli")


class TakesNoArrays(Metric):
    """Data sets only."""

    def responses(self, target):
        if not isinstance(target, Dataset):
            raise TypeError("a Dataset, please")
        return super().responses(target)


class TakesEverySetting(Metric):
    """Settings are not looked at."""

    def against(self, target, *, settings=None, seed=0, device="cpu", preparation=Preparation()):
        return super().against(target, settings={}, seed=seed)


class TakesEveryKind(Metric):
    """RDMs and trials are taken for a scalar response."""

    def responses(self, target):
        if isinstance(target, Dataset) and target.responses is None:
            flat = xr.DataArray(np.ones((len(target.stimuli), 1)), dims=("presentation", "neuroid"))
            ids = ("presentation", list(target.stimuli.ids))
            return flat.assign_coords(stimulus_id=ids, neuroid_id=("neuroid", ["only"]))
        return super().responses(target)


class RefusesKindsWrongly(Metric):
    """The right refusal, as the wrong error."""

    def responses(self, target):
        if isinstance(target, Dataset) and target.responses is None:
            raise SettingsError("no")
        return super().responses(target)


class Unusable(Metric):
    """Raises for every target."""

    def against(self, target, *, settings=None, seed=0, device="cpu", preparation=Preparation()):
        check_settings(Settings, settings or {}, self.card.id)
        self.responses(target)
        raise MemoryError("n_stimuli × n_stimuli × n_neuroids")


def metric_of(bad: type, accepts: tuple[str, ...] = ("responses",), **flags: bool) -> MetricPlugin:
    """A plugin object for a comparison or a plugin class."""
    card = MetricCard(id="tested", object="a:b", accepts=accepts, **flags)
    if issubclass(bad, MetricPlugin):
        return bad(card)
    return type("Made", (Metric,), {"comparison": bad})(card)


def outcomes(metric: MetricPlugin) -> dict[str, CheckOutcome]:
    """Check → outcome."""
    tested = MetricUnderTest.of(metric)
    return {
        name: Check(name, lambda function=function: function(tested)).outcome()
        for name, function in METRIC_CHECKS.items()
    }


def test_good_metric_passes_every_check() -> None:
    assert {name: outcome.status for name, outcome in outcomes(metric_of(Fit)).items()} == dict.fromkeys(
        METRIC_CHECKS, "passed"
    )


@pytest.mark.parametrize(
    ("bad", "check", "words"),
    [
        (ChoosesOnTheTest, "noise-layers", "8 layers"),
        (FindsNothing, "related", "above features"),
        (ReadsByPosition, "row-order", "differs by up to"),
        (FillsMissing, "alignment", "nothing was raised"),
        (FillsNaN, "not-finite", "nothing was raised"),
        (NamesByPosition, "neuroid-order", "differs by up to"),
        (DrawsAnew, "determinism", "differs by up to"),
        (NamesNoTarget, "summary", "someone"),
        (DrawsByNumber, "draws", "the first 1000 draws must not depend on how many are drawn"),
        (TakesNoArrays, "arrays", "a Dataset, please"),
        (TakesEverySetting, "settings", "no-such-setting"),
        (TakesEveryKind, "accepts", "nothing was raised"),
        (RefusesKindsWrongly, "accepts", "SettingsError"),
        (Unusable, "related", "MemoryError"),
    ],
)
def test_bad_metric_fails_its_check_alone(bad: type, check: str, words: str) -> None:
    found = outcomes(metric_of(bad))
    assert {name for name, outcome in found.items() if outcome.status == "failed"} == {check}
    assert words in found[check].message


def test_leak_of_the_test_into_the_fit_shows_in_noise() -> None:
    found = outcomes(metric_of(FitsTheTest))
    # with 30 units and 60 stimuli, least squares explains a share 30 / 59 of noise on what it was fitted on: r = .71
    assert {name for name, outcome in found.items() if outcome.status == "failed"} == {"noise", "noise-layers"}
    mean = float(re.findall(r"found (\d\.\d+)", found["noise"].message)[0])
    assert abs(mean - np.sqrt(30 / 59)) < 0.03


def test_a_metric_that_says_that_noise_scores_above_0_is_not_held_to_it() -> None:
    found = outcomes(metric_of(FitsTheTest, unbiased=False))
    skipped = {name for name, outcome in found.items() if outcome.status == "skipped"}
    assert skipped == {"noise", "noise-layers"}
    assert "unbiased = false" in found["noise"].message


def test_a_metric_of_named_units_is_checked_where_no_data_are_needed() -> None:
    found = outcomes(metric_of(Fit, named_units=True))
    assert {name for name, outcome in found.items() if outcome.status == "passed"} == {"settings", "accepts"}
    assert {outcome.status for name, outcome in found.items() if name not in ("settings", "accepts")} == {"skipped"}


def test_metric_on_trials_is_checked_where_no_data_are_needed() -> None:
    class OnTrials(Metric):
        def responses(self, target):
            if isinstance(target, Dataset) and target.trials is None:
                raise DataError("takes trials")
            raise AssertionError("settings come first")

    found = outcomes(metric_of(OnTrials, ("trials",)))
    assert {name for name, outcome in found.items() if outcome.status == "passed"} == {"settings", "accepts"}
    assert {outcome.status for name, outcome in found.items() if name not in ("settings", "accepts")} == {"skipped"}


def test_metric_on_rdms() -> None:
    class OnRdms(Comparison):
        statistic = "r"

        def __init__(self, rdm, ids):
            self.rdm, self.ids, self.n_stimuli = rdm, ids, len(ids)

        def score(self, activations):
            features = activations.array(self.ids)
            first, second = np.triu_indices(self.n_stimuli, 1)
            own = 1 - np.corrcoef(features)[first, second]
            r = [np.corrcoef(own, row)[0, 1] for row in self.rdm.values]
            return xr.Dataset({"r": ("subject", r)}, {"subject": self.rdm["subject"].values}, {"target": "participant"})

    class Plugin(MetricPlugin):
        def against(self, target, *, settings=None, seed=0, device="cpu", preparation=Preparation()):
            check_settings(Settings, settings or {}, self.card.id)
            if target.rdm is None:
                raise DataError("takes RDMs")
            return OnRdms(target.rdm, target.stimuli.ids)

    found = outcomes(Plugin(MetricCard(id="tested", object="a:b", accepts=("rdm",))))
    skipped = {name for name, outcome in found.items() if outcome.status == "skipped"}
    assert {name for name, outcome in found.items() if outcome.status == "failed"} == set()
    assert skipped == {"arrays", "noise-layers"}
    assert "optimistic" in found["noise-layers"].message


def test_check_metric_raises_with_the_failures() -> None:
    with pytest.raises(CheckFailed, match="metric:tested:row-order"):
        check_metric(metric_of(ReadsByPosition))
    assert {outcome.status for outcome in check_metric(metric_of(Fit))} == {"passed"}
