"""The simulation: components, signals, noise and reliability, against scikit-learn and the formulas."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

import isocortex
from isocortex.data.dataset import averaged, repetitions
from isocortex.errors import PluginError
from isocortex_simulated import truth
from isocortex_simulated.components_command import write_components
from isocortex_simulated.cortex import principal_components, reliability, responses, signals
from isocortex_simulated.datasets import DATASETS, read_simulation, simulate, simulation_of
from isocortex_simulated.draws import Stream
from isocortex_simulated.stages import Stage, components_of, computed_components, kept_path, read_components

MINIMAL = {
    "snr": 2.0,
    "n_repetitions": 2,
    "n_subjects": 1,
    "n_neuroids": 3,
    "n_components": 2,
    "spectrum": 1.0,
    "reduction": "flatten",
    "regions": {"noise": {}},
}


def test_components_equal_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    features = generator.standard_normal((30, 4)) @ generator.standard_normal((4, 200)) * np.geomspace(1e-3, 1e3, 200)
    features[:, 7] = 3.0
    ours = principal_components([features[:, :90], features[:, 90:]], 30, 4)
    standard = StandardScaler().fit_transform(np.delete(features, 7, axis=1))
    theirs = PCA(4, svd_solver="full", whiten=True).fit_transform(standard) * np.sqrt(30 / 29)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-8)
    assert (np.take_along_axis(ours, np.abs(ours).argmax(axis=0)[None], axis=0) > 0).all()


def test_weights_have_the_stated_spectrum() -> None:
    components = principal_components([np.random.default_rng(1).standard_normal((60, 40))], 60, 5)
    read = signals(components, 20_000, 1.0, Stream(0, "weights"))
    np.testing.assert_allclose(read.std(axis=0), 1.0, atol=1e-12)
    weights = components.T @ read / 60  # components are orthogonal, of variance 1: least squares
    np.testing.assert_allclose(components @ weights, read, atol=1e-9)
    # dividing by the norm keeps the order: the share falls with k, and all of it is there
    share = np.mean(np.square(weights), axis=1)
    assert (np.diff(share) < 0).all()
    assert share.sum() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("snr", [0.5, 5.0])
def test_noise_has_the_stated_variance(snr: float) -> None:
    signal = signals(principal_components([np.eye(100)], 100, 6), 50, 0.5, Stream(0, "w"))
    made = responses(signal, snr, 40, Stream(0, "noise"))
    error = made - signal
    # 200,000 values: the standard error of a variance is 0.3 %
    assert error.var() == pytest.approx(1 / snr, rel=0.02)
    assert np.corrcoef(error[0].ravel(), error[1].ravel())[0, 1] == pytest.approx(0, abs=0.05)
    np.testing.assert_array_equal(made * 1024, np.round(made * 1024))


@pytest.mark.parametrize(("snr", "n_repetitions"), [(1.0, 2), (5.0, 3)])
def test_reliability_is_what_it_says(snr: float, n_repetitions: int) -> None:
    """The squared correlation of the mean response with the signal that no one sees is the reliability."""
    signal = signals(principal_components([np.eye(400)], 400, 6), 200, 0.5, Stream(0, "w"))
    mean = responses(signal, snr, n_repetitions, Stream(1, "noise")).mean(axis=0)
    r = [np.corrcoef(mean[:, place], signal[:, place])[0, 1] for place in range(200)]
    assert np.mean(np.square(r)) == pytest.approx(reliability(snr, n_repetitions), abs=0.005)


@pytest.mark.parametrize("name", DATASETS)
def test_measured_reliability_and_ceiling_are_as_declared(name: str) -> None:
    dataset = isocortex.load_dataset(name)
    assert dataset.responses is not None
    declared = dataset.attrs["reliability"]
    assert declared == pytest.approx(15 / 16)
    repeated = repetitions(dataset.responses)
    region = dataset.responses["region"].values
    # brute force: correlation of single repetitions, whose expectation is snr / (1 + snr)
    pairs = [(0, 1), (0, 2), (1, 2)]
    single = np.array(
        [
            np.mean([np.corrcoef(repeated[a, :, j], repeated[b, :, j])[0, 1] for a, b in pairs])
            for j in range(repeated.shape[2])
        ]
    )
    for place, stage in truth(name).items():
        # 40 neuroids times 3 pairs: the standard error is 0.013 for noise and 0.004 for signals
        expected, tolerance = (0.0, 0.05) if stage is None else (5 / 6, 0.02)
        assert np.mean(single[region == place]) == pytest.approx(expected, abs=tolerance)
    ceiling = isocortex.load_metric("ridge").against(dataset, settings={}, seed=0).ceiling
    assert ceiling is not None
    per_neuroid = np.asarray(ceiling.value)
    for place, stage in truth(name).items():
        if stage is not None:
            assert np.median(per_neuroid[region == place]) == pytest.approx(np.sqrt(declared), abs=0.005)


@pytest.mark.parametrize("name", DATASETS)
def test_data_sets_have_regions_participants_and_truth(name: str) -> None:
    dataset = isocortex.load_dataset(name)
    assert dataset.responses is not None
    stages = truth(name)
    assert [stage for stage in stages.values() if stage is None] == [None]
    assert dataset.attrs["truth"] == {region: stage and stage._asdict() for region, stage in stages.items()}
    counts = dataset.responses["region"].groupby("region").count()
    assert counts.values.tolist() == [40, 40, 40]
    assert set(dataset.responses["subject"].values) == {"S1", "S2", "S3", "S4"}
    assert set(dataset.responses["repetition"].values) == {0, 1, 2}
    # participants have their own weights and noise: no two neuroids are copies
    assert len(np.unique(averaged(dataset.responses), axis=1).T) == 120


def test_digests_are_the_same_in_another_process_and_differ_between_seeds() -> None:
    code = f"import isocortex; print(*(isocortex.load_dataset(name).digest for name in {DATASETS!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name, elsewhere in zip(DATASETS, done.stdout.split(), strict=True):
        dataset = isocortex.load_dataset(name)
        assert elsewhere == dataset.digest
        simulation = simulation_of(name)[1]
        assert simulate(name, dataset.stimuli, simulation).digest == dataset.digest
        assert simulate(name, dataset.stimuli, simulation.model_copy(update={"seed": 1})).digest != dataset.digest


def test_kept_components_are_those_that_the_models_give() -> None:
    """The files in the package, against the models as they are now; the sounds' are checked with the demo."""
    stimuli_id, simulation = simulation_of("simulated-visual")
    stimuli = isocortex.load_stimuli(stimuli_id)
    for stage in simulation.stages.values():
        if stage is not None:
            kept = components_of(stimuli, stage, simulation.reduction, simulation.n_components)
            computed = computed_components(stimuli, stage, simulation.reduction, simulation.n_components)
            np.testing.assert_allclose(kept, computed, atol=1e-5)


def test_components_of_other_stimuli_are_not_taken(tmp_path) -> None:
    stimuli = isocortex.load_stimuli("simulated-images")
    path = tmp_path / "stage.csv"
    components = np.random.default_rng(0).standard_normal((160, 2))
    write_components(path, components, stimuli, "flatten")
    read = read_components(path, f"{stimuli.digest} flatten")
    assert read is not None
    np.testing.assert_allclose(read, components, rtol=1e-8)
    assert read_components(path, f"{stimuli.digest} time-mean") is None
    assert read_components(path, "other flatten") is None
    assert read_components(tmp_path / "absent.csv", "any") is None


def test_a_stage_that_is_not_kept_is_computed() -> None:
    stimuli = isocortex.load_stimuli("simulated-images")
    stage = Stage("threshold-units", "units")
    assert not kept_path(stimuli, stage).exists()
    components = components_of(stimuli, stage, "flatten", 3)
    assert components.shape == (160, 3)
    np.testing.assert_allclose(components.T @ components / 160, np.eye(3), atol=1e-9)


def test_a_model_that_must_not_be_cached_is_run_anew(own_folders, monkeypatch) -> None:
    stimuli = isocortex.load_stimuli("simulated-images")
    stage = Stage("pixels", "pixels")
    monkeypatch.setattr("isocortex_baselines.models.Pixels.digest", lambda *_: None)
    computed = computed_components(stimuli, stage, "flatten", 6)
    np.testing.assert_allclose(computed, components_of(stimuli, stage, "flatten", 6), atol=1e-5)
    assert not (own_folders / "cache" / "activations").exists()


def test_noise_is_noise() -> None:
    simulation = read_simulation("own", {**MINIMAL, "n_neuroids": 400})
    stimuli = isocortex.load_stimuli("simulated-images")
    dataset = simulate("own", stimuli, simulation)
    assert dataset.responses is not None
    values = repetitions(dataset.responses)
    assert values.shape == (2, 160, 400)
    assert values.var() == pytest.approx(0.5, rel=0.02)
    assert np.corrcoef(values[0].ravel(), values[1].ravel())[0, 1] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"snr": 0.0}, "snr"),
        ({"noise": 1}, "noise"),
        ({"regions": {"V1": {"model": "pixels"}}}, "a model and a layer, or neither"),
        ({"n_subjects": None}, "n_subjects"),
    ],
)
def test_wrong_options_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(PluginError, match=message):
        read_simulation("own", {**MINIMAL, **change})


def test_truth_of_what_is_not_simulated_is_refused() -> None:
    with pytest.raises(PluginError, match=r"isocortex|options"):
        truth("NH2015comp")
