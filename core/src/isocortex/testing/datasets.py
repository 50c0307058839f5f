"""Checks of stimuli, data sets and benchmarks, on their own files; without the files they are skipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, cast

from isocortex.catalogue.cards import BenchmarkCard, Card, DatasetCard, MetricCard, StimuliCard
from isocortex.data.dataset import Dataset
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import DataError, IsocortexError, SettingsError, shorten
from isocortex.interfaces import Preparation, Rules
from isocortex.loading.resolver import Resolver, resolver, sibling
from isocortex.testing.outcomes import CheckFailed, CheckSkipped, described, expect
from isocortex.testing.processes import imported_ahead, run_probe
from isocortex.testing.rows import RowUnderTest, made, skip_unless

if TYPE_CHECKING:
    import xarray as xr


MIN_STIMULI = 2
#: stimuli that are read in the check ``contents``
N_READ = 5
_LOADED: dict[str, type[Any]] = {"stimuli": StimulusSet, "dataset": Dataset}


class Shared:
    """What the checks of several rows have in common: data sets that are loaded once for them all."""

    @cached_property
    def resolver(self) -> Resolver:
        """Finds data sets and metrics and remembers them."""
        return resolver(offline=True)


class DataUnderTest:
    """A row for stimuli or a data set, loaded where its files are present; ``shared`` remembers what it loads first."""

    def __init__(self, row: RowUnderTest, shared: Shared) -> None:
        self.row = row
        self.kind = row.row.kind
        self._shared = shared

    @property
    def name(self) -> str:
        """The ID."""
        return self.row.row.id

    def load(self, found: Resolver | None = None) -> Any:
        """Load, by default with nothing remembered from before.

        Raises
        ------
        CheckSkipped
            Files are not present.
        """
        made(lambda: self.row.plugin)
        found = found or resolver(offline=True)
        skip_without_files(found, self.kind, self.row.card)
        return found.stimuli(self.row.reference) if self.kind == "stimuli" else found.dataset(self.row.reference)

    @cached_property
    def first(self) -> Any:
        """What was loaded first; kept."""
        return self.load(self._shared.resolver)

    @property
    def loaded(self) -> Any:
        """What was loaded first; where it does not load, the check is skipped."""
        found = made(lambda: self.first)
        if not isinstance(found, _LOADED[self.kind]):
            raise CheckSkipped("See loads, which fails first.")
        return found

    @property
    def stimuli(self) -> StimulusSet:
        """The stimuli."""
        return self.loaded if self.kind == "stimuli" else self.loaded.stimuli


def skip_without_files(found: Resolver, kind: str, card: Card) -> None:
    """Skip the check where files that a data set or its stimuli list are absent."""
    from isocortex.files.file_store import read_specs

    cards = [card]
    if kind == "dataset":
        name = cast("DatasetCard", card).stimuli
        cards.append(made(lambda: found.stimuli_card(sibling(found.catalogue, card, "stimuli", name))))
    for listing in cards:
        specs = made(lambda listing=listing: read_specs(listing.folder, getattr(listing, "files", None)))
        missing = found.files.missing(listing.package, specs)
        if missing:
            raise CheckSkipped(
                f"{len(missing)} of {len(specs)} files of {listing.id!r} are not in "
                f"{found.files.root / listing.package}; 'isocortex fetch' brings them."
            )


# --- stimuli and data sets --------------------------------------------------------------------------------------------


def check_loads(data: DataUnderTest) -> None:
    """It loads from its files, as what its card declares."""
    data.row.plugin  # noqa: B018 - an error of the constructor belongs here
    loaded = data.first
    wanted = _LOADED[data.kind]
    expect(isinstance(loaded, wanted), f"load() must return a {wanted.__name__}; found {type(loaded).__name__}.")
    if data.kind == "stimuli":
        declared = cast("StimuliCard", data.row.card).modality
        expect(loaded.modality == declared, f"The card declares modality {declared!r}; found {loaded.modality!r}.")
        return
    card = cast("DatasetCard", data.row.card)
    expect(loaded.kind == card.kind, f"The card declares kind {card.kind!r}; found {loaded.kind!r}.")


def check_valid(data: DataUnderTest) -> None:
    """It passes the validation of core as it is now, and has at least two stimuli."""
    n_stimuli = len(data.stimuli)
    expect(n_stimuli >= MIN_STIMULI, f"Expected at least {MIN_STIMULI} stimuli, found {n_stimuli}.")
    if data.kind == "stimuli":
        return
    loaded: Dataset = data.loaded
    again = Dataset(
        loaded.id,
        loaded.stimuli,
        responses=loaded.responses,
        rdm=loaded.rdm,
        trials=loaded.trials,
        attrs=loaded.attrs,
    )
    expect(
        again.digest == loaded.digest, "Responses must be in canonical order; put in order, they differ from before."
    )


def check_order(data: DataUnderTest) -> None:
    """Two loads, and a load in a fresh interpreter, give the same stimuli in the same order with the same contents."""
    first, second = data.loaded, made(data.load)
    ids = list(data.stimuli.ids)
    again = second if data.kind == "stimuli" else second.stimuli
    _expect_order(ids, list(again.ids), "two loads in one process")
    expect(first.digest == second.digest, "Two loads must have one digest; contents or tables differ.")
    ahead = imported_ahead(data.row.row.package)
    fresh = run_probe("digest", ahead=ahead, kind=data.kind, reference=data.row.reference)
    expect("error" not in fresh, f"It must load in a fresh interpreter; found {fresh.get('error')}.")
    _expect_order(ids, fresh["ids"], "this process and a fresh one")
    expect(first.digest == fresh["digest"], "This process and a fresh one must find one digest; contents differ.")


def _expect_order(expected: Sequence[str], found: Sequence[str], between: str) -> None:
    places = [place for place, names in enumerate(zip(expected, found, strict=False)) if names[0] != names[1]]
    expect(
        expected == found,
        f"The canonical order must be the same in {between}; found {len(expected)} and {len(found)} stimuli"
        + (f", of which {len(places)} are in other places, first {expected[places[0]]!r}" if places else "")
        + ". Sort names; the order of a set or of a folder's listing is not fixed.",
    )


def check_contents(data: DataUnderTest) -> None:
    """Stimuli can be read, and are what their modality asks for."""
    import numpy as np

    stimuli = data.stimuli
    for place in np.unique(np.linspace(0, len(stimuli) - 1, N_READ).astype(int)):
        stimulus = stimuli.load(int(place))
        problem = _FORMS.get(stimuli.modality, _no_form)(stimulus)
        expect(problem is None, f"Stimulus {stimulus.id!r}: {problem}")


def _sound_problem(stimulus: Stimulus) -> str | None:
    import numpy as np

    array = stimulus.array
    if array.dtype != np.float32 or array.ndim not in (1, 2) or not len(array):
        return f"expected float32 (n_samples[, n_channels]), found {array.dtype} {array.shape}."
    if not np.isfinite(array).all() or np.abs(array).max() > 1:
        return f"expected finite samples in [-1, 1], found a largest magnitude of {np.abs(array).max()}."
    return None if stimulus.sample_rate else "expected its sampling rate in Hz, found none."


def _image_problem(stimulus: Stimulus) -> str | None:
    array = stimulus.array
    if array.dtype.name != "uint8" or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        return f"expected uint8 (height, width, 3), found {array.dtype} {array.shape}."
    return None


def _no_form(stimulus: Stimulus) -> str | None:
    return None if stimulus.array.size else "expected an array that is not empty."


_FORMS: dict[str, Callable[[Stimulus], str | None]] = {"audio": _sound_problem, "image": _image_problem}


# --- benchmarks -------------------------------------------------------------------------------------------------------


class BenchmarkUnderTest:
    """A benchmark with its data set and metric."""

    def __init__(self, row: RowUnderTest, shared: Shared) -> None:
        self.row = row
        self._shared = shared

    @property
    def resolver(self) -> Resolver:
        """Finds the data set and the metric."""
        return self._shared.resolver

    @property
    def card(self) -> BenchmarkCard:
        """The card of the benchmark."""
        return cast("BenchmarkCard", self.row.card)

    @cached_property
    def dataset(self) -> Dataset:
        """The data set; where it is absent or does not load, the check is skipped."""
        name = sibling(self.resolver.catalogue, self.card, "dataset", self.card.dataset)
        return self._found(lambda: self._dataset(name))

    def _dataset(self, name: str) -> Dataset:
        skip_without_files(self.resolver, "dataset", self.resolver.dataset_card(name))
        return self.resolver.dataset(name)

    @cached_property
    def metric(self) -> Any:
        """The metric; where it is absent or does not load, the check is skipped."""
        name = sibling(self.resolver.catalogue, self.card, "metric", self.card.metric)
        return self._found(lambda: self.resolver.metric(name))

    def _found(self, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except CheckSkipped:
            raise
        except Exception as error:
            raise skip_unless(
                f"manifest:{self.row.row.package}:references and the checks of both parts", error
            ) from error


def check_select(benchmark: BenchmarkUnderTest) -> None:
    """What the benchmark selects exists, and so do the coordinates that it summarises by."""
    card, dataset = benchmark.card, benchmark.dataset
    try:
        selected = dataset.select(**card.select)
    except DataError as error:
        raise_failed(f"select = {card.select} must fit {dataset.id!r}: {error}")
    data = selected.responses if selected.responses is not None else selected.rdm
    known = _coordinates(data)
    unknown = [name for name in card.summary_by if name not in known]
    expect(
        not unknown,
        f"summary_by must name coordinates of {dataset.id!r}; found {shorten(unknown)}, known are {shorten(known, 9)}.",
    )


def _coordinates(data: xr.DataArray | None) -> list[str]:
    if data is None:
        return []
    dim = "neuroid" if "neuroid" in data.dims else "subject"
    return [str(name) for name in data.coords if data[name].dims == (dim,)]


def check_settings(benchmark: BenchmarkUnderTest) -> None:
    """The metric takes the settings, on the data where their files are present and on made-up data otherwise."""
    card = benchmark.card
    metric_card: MetricCard = benchmark.metric.card
    try:
        target = benchmark.dataset.select(**card.select)
    except CheckSkipped:
        target = _made_up(benchmark)
    except IsocortexError as error:
        raise skip_unless("select", error) from error
    try:
        comparison = benchmark.metric.against(
            target, settings=card.settings, seed=0, preparation=Preparation(Rules.of(card, 0))
        )
    except SettingsError as error:
        raise_failed(f"The metric {metric_card.id!r} must take settings = {card.settings}: {error}")
    except Exception as error:  # whatever a third party's metric raises
        raise_failed(
            f"against() of {metric_card.id!r} must take the data of {card.dataset!r}; found {described(error)}"
        )
    else:
        expect(comparison.n_stimuli > 0, f"n_stimuli must be set by {metric_card.id!r}; found {comparison.n_stimuli}.")


def _made_up(benchmark: BenchmarkUnderTest) -> Dataset:
    from isocortex.testing.synthetic import synthetic_dataset, synthetic_features

    name = sibling(benchmark.resolver.catalogue, benchmark.card, "dataset", benchmark.card.dataset)
    kind = made(lambda: benchmark.resolver.dataset_card(name)).kind
    if kind == "trials":
        raise CheckSkipped("The files of the data set are not present, and the kit makes no trials for a metric.")
    dataset = synthetic_dataset(kind, 40, features=synthetic_features(40, 10))
    words = ["test" if place % 5 == 0 else "train" for place in range(40)]  # for benchmarks whose split is declared
    dataset.stimuli.table["split"] = words
    return dataset


def raise_failed(message: str) -> NoReturn:
    """Fail the check."""
    raise CheckFailed(message)


STIMULI_CHECKS: dict[str, Callable[[DataUnderTest], None]] = {
    "loads": check_loads,
    "valid": check_valid,
    "order": check_order,
    "contents": check_contents,
}
DATASET_CHECKS: dict[str, Callable[[DataUnderTest], None]] = {
    "loads": check_loads,
    "valid": check_valid,
    "order": check_order,
}
BENCHMARK_CHECKS: dict[str, Callable[[BenchmarkUnderTest], None]] = {
    "select": check_select,
    "settings": check_settings,
}
