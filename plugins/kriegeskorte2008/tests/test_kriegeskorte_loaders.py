"""Loaders on files that these tests write in the published layout: pair order, names, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from scipy.spatial.distance import squareform

from isocortex.catalogue.cards import read_card
from isocortex.catalogue.rows import Catalogue
from isocortex.errors import AlignmentError, DataError
from isocortex.files.file_store import DataFiles, read_specs
from isocortex.loading.resolver import make_plugin
from isocortex_kriegeskorte2008 import (
    pair_indices,
    read_images,
    read_published_rdms,
    read_subject_rdms,
    upper_triangle,
)
from isocortex_kriegeskorte2008.reading import read_structs

N_STIMULI = 5
N_PAIRS = 10
CATEGORIES = ["human face", "human bodypart", "nonhuman face", "natural inanimate", "artificial inanimate"]
IMAGE_FILE = "Kriegeskorte_Neuron2008_supplementalData.mat"
BRAIN_FILE = "92_brainRDMs.mat"


def struct_array(shape: tuple[int, ...], **fields: list[object]) -> np.ndarray:
    structs = np.empty(shape, dtype=[(name, object) for name in fields])
    for name, values in fields.items():
        for place, value in zip(np.ndindex(shape), values, strict=True):
            structs[name][place] = value
    return structs


def rdm_of(seed: int, n_stimuli: int = N_STIMULI) -> np.ndarray:
    """A random symmetric matrix; scipy makes it from its vector of pairs."""
    return squareform(np.random.default_rng(seed).uniform(0, 2, n_stimuli * (n_stimuli - 1) // 2))


def image_of(number: int) -> np.ndarray:
    """(175, 175, 3): no symmetry, so that a transposed image is another image."""
    rows, columns, channels = np.indices((175, 175, 3))
    return ((rows + 2 * columns + 50 * channels + number) % 256).astype(np.uint8)


def write_images(path: Path, published: np.ndarray | None = None, **changes: list[object]) -> Path:
    fields: dict[str, list[object]] = {
        "category": list(CATEGORIES),
        "human": [np.uint8(value) for value in (1, 1, 0, 0, 0)],
        "face": [np.uint8(value) for value in (1, 0, 1, 0, 0)],
        "animal": [np.uint8(value) for value in (1, 1, 1, 0, 0)],
        "natural": [np.uint8(value) for value in (1, 1, 1, 1, 0)],
        "image": [image_of(number) for number in range(N_STIMULI)],
    }
    if published is None:
        published = struct_array(
            (1, 2),
            name=["mIT_674neurons", "hITvisStim_316vx"],
            RDM=[squareform(rdm_of(7))[None], squareform(rdm_of(8))[None]],
        )
    stimuli = struct_array((1, N_STIMULI), **{**fields, **changes})
    savemat(path, {"stimuli_92objs": stimuli, "RDMs_mIT_hIT_fig1": published})
    return path


def measured(names: list[str], rdms: list[np.ndarray], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {"RDMs": struct_array(shape, RDM=list(rdms), name=list(names))}


NAMES = [f"hIT | {subject} | Session: {session}" for subject in ("BE", "KO", "SN") for session in (1, 2)]


def write_subjects(path: Path, names: list[str] = NAMES, rdms: list[np.ndarray] | None = None) -> Path:
    rdms = [rdm_of(seed) for seed in range(len(names))] if rdms is None else rdms
    shape = (1, len(names) // 2, 2) if len(names) % 2 == 0 else (1, len(names))
    savemat(path, measured(names, rdms, shape))
    return path


def plugin(kind: str, name: str):
    return make_plugin(kind, read_card(Catalogue.discover().find(kind, name)))


def stimuli_of(folder: Path, **changes):
    return plugin("stimuli", "kriegeskorte92").load(
        DataFiles({IMAGE_FILE: write_images(folder / IMAGE_FILE, **changes)})
    )


def test_images_keep_their_order_orientation_and_labels(tmp_path):
    stimuli = stimuli_of(tmp_path)
    assert stimuli.ids == ("stim01", "stim02", "stim03", "stim04", "stim05")
    for number, stimulus in enumerate(stimuli):
        assert (stimulus.modality, stimulus.array.dtype) == ("image", np.uint8)
        np.testing.assert_array_equal(stimulus.array, image_of(number))
    assert stimuli.table["category"].tolist() == CATEGORIES
    assert stimuli.table["animal"].tolist() == [1, 1, 1, 0, 0]
    assert stimuli.table["natural"].tolist() == [1, 1, 1, 1, 0]
    assert stimuli.table["human"].tolist() == [1, 1, 0, 0, 0]
    assert stimuli.table["face"].tolist() == [1, 0, 1, 0, 0]


def test_human_rdms_are_placed_by_name(tmp_path):
    stimuli = stimuli_of(tmp_path)
    dataset = plugin("dataset", "Kriegeskorte2008.human-IT").load(
        DataFiles({BRAIN_FILE: write_subjects(tmp_path / BRAIN_FILE)}), stimuli
    )
    rdm = dataset.rdm
    assert rdm.dims == ("subject", "session", "pair")
    assert rdm["subject"].values.tolist() == ["BE", "KO", "SN"]
    for number, name in enumerate(NAMES):
        _, subject, session = name.split(" | ")
        of_one = rdm.sel(subject=subject, session=int(session[-1]))
        for first in range(N_STIMULI):
            for second in range(first + 1, N_STIMULI):
                of_pair = (of_one["stimulus_a"] == stimuli.ids[first]) & (of_one["stimulus_b"] == stimuli.ids[second])
                assert of_one.values[of_pair.values].tolist() == [rdm_of(number)[first, second]]


def test_the_order_of_the_measurements_in_the_file_does_not_matter(tmp_path):
    order = [3, 5, 0, 2, 4, 1]
    write_subjects(tmp_path / BRAIN_FILE)
    write_subjects(tmp_path / "shuffled.mat", [NAMES[place] for place in order], [rdm_of(place) for place in order])
    straight, shuffled = (read_subject_rdms(tmp_path / name) for name in (BRAIN_FILE, "shuffled.mat"))
    assert shuffled.session == (1, 2)
    for place, subject in enumerate(straight.subject):
        np.testing.assert_array_equal(
            straight.dissimilarity[place], shuffled.dissimilarity[shuffled.subject.index(subject)]
        )


def test_monkey_rdm_is_one_group_matrix(tmp_path):
    stimuli = stimuli_of(tmp_path)
    dataset = plugin("dataset", "Kriegeskorte2008.monkey-IT").load(
        DataFiles({IMAGE_FILE: tmp_path / IMAGE_FILE}), stimuli
    )
    assert dataset.rdm.dims == ("subject", "pair")
    assert dataset.rdm["subject"].values.tolist() == ["group"]
    assert dataset.rdm.attrs["target"] == dataset.attrs["target"] == "group-mean"
    matrix = rdm_of(7)
    expected = [matrix[first, second] for first in range(N_STIMULI) for second in range(first + 1, N_STIMULI)]
    assert dataset.rdm.values[0].tolist() == expected


def test_pairs_are_row_major_as_in_scipy():
    matrix = rdm_of(3, n_stimuli=9)
    np.testing.assert_array_equal(upper_triangle(matrix), squareform(matrix))
    first, second = pair_indices(9)
    np.testing.assert_array_equal(matrix[first, second], squareform(matrix))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((3, 4)), r"square dissimilarity matrix, found shape \(3, 4\)"),
        (np.array([[0.0, 1.0], [2.0, 0.0]]), "symmetric"),
        (np.array([[1.0, 2.0], [2.0, 0.0]]), "zero diagonal"),
        (np.array([[0.0, np.nan], [np.nan, 0.0]]), "found 2 that are not"),
        (np.array([[0, 1j], [1j, 0]]), "real numbers, found complex128"),
    ],
)
def test_what_is_no_dissimilarity_matrix_is_refused(matrix, message):
    with pytest.raises(DataError, match=message):
        upper_triangle(matrix)


@pytest.mark.parametrize(
    ("names", "rdms", "message"),
    [
        (["hIT BE 1", NAMES[1]], None, "expected the name .* found 'hIT BE 1'"),
        ([NAMES[0], NAMES[0]], None, "each participant and session once"),
        (NAMES[:3], None, "expected every session of every participant, found none of KO session 2"),
        (NAMES[:2], [rdm_of(0), rdm_of(1, 6)], "matrices of one size, found 10, 15 pairs"),
        (NAMES[:2], [rdm_of(0), rdm_of(1)[:4]], r"BE \| Session: 2: Expected a square .* \(4, 5\)"),
    ],
)
def test_measurements_of_another_form_are_refused(tmp_path, names, rdms, message):
    path = write_subjects(tmp_path / BRAIN_FILE, names, rdms)
    with pytest.raises(DataError, match=rf"92_brainRDMs\.mat: .*{message}"):
        read_subject_rdms(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": [image_of(0)] * 4 + [np.zeros((175, 175), np.uint8)]}, r"\(5\): expected an image.*\(175, 175\)"),
        ({"image": [image_of(0)] * 4 + [np.zeros((175, 175, 3))]}, r"\(5\): expected an image.*float64"),
        ({"category": [*CATEGORIES[:4], 3.0]}, r"\(5\): expected one text, found"),
        ({"animal": [1, 1, 1, 0, 2]}, r"\(5\): expected one 0 or 1"),
    ],
)
def test_images_and_labels_of_another_form_are_refused(tmp_path, changes, message):
    path = write_images(tmp_path / IMAGE_FILE, **changes)
    with pytest.raises(DataError, match=message):
        read_images(path)


def test_a_published_vector_that_is_no_triangle_is_refused(tmp_path):
    published = struct_array((1, 1), name=["mIT_674neurons"], RDM=[np.zeros((1, 11))])
    with pytest.raises(DataError, match=r"mIT_674neurons to be a vector of n\(n-1\)/2 .* shape \(1, 11\)"):
        read_published_rdms(write_images(tmp_path / IMAGE_FILE, published=published))


def test_a_square_published_matrix_is_refused(tmp_path):
    published = struct_array((1, 1), name=["mIT_674neurons"], RDM=[rdm_of(0, 6)])
    with pytest.raises(DataError, match=r"shape \(6, 6\)"):
        read_published_rdms(write_images(tmp_path / IMAGE_FILE, published=published))


def test_a_file_without_a_monkey_matrix_is_refused(tmp_path):
    published = struct_array((1, 1), name=["hITvisStim_316vx"], RDM=[np.zeros((1, N_PAIRS))])
    stimuli = stimuli_of(tmp_path, published=published)
    with pytest.raises(DataError, match="starts with mIT, found hITvisStim_316vx"):
        plugin("dataset", "Kriegeskorte2008.monkey-IT").load(DataFiles({IMAGE_FILE: tmp_path / IMAGE_FILE}), stimuli)


def test_matrices_of_other_stimuli_are_refused(tmp_path):
    stimuli = stimuli_of(tmp_path)
    path = write_subjects(tmp_path / BRAIN_FILE, NAMES[:2], [rdm_of(0, 6), rdm_of(1, 6)])
    with pytest.raises(AlignmentError, match="10 pairs for the 5 stimuli of 'kriegeskorte92', found 15"):
        plugin("dataset", "Kriegeskorte2008.human-IT").load(DataFiles({BRAIN_FILE: path}), stimuli)


def test_other_variables_and_fields_are_refused(tmp_path):
    path = tmp_path / "other.mat"
    savemat(path, {"RDMs": np.zeros((2, 2)), "Models": {"name": "animacy"}})
    with pytest.raises(DataError, match="expected RDMs to be a struct array, found float64"):
        read_subject_rdms(path)
    with pytest.raises(DataError, match="expected Models to have the fields name, RDM; found 1 structs with name"):
        read_structs(path, "Models", ["name", "RDM"])
    with pytest.raises(DataError, match=r"other\.mat lacks the variable stimuli_92objs"):
        read_images(path)


@pytest.mark.parametrize("content", [b"", b"not a MATLAB file" * 20, "truncated"])
def test_a_damaged_matlab_file_is_named(tmp_path, content):
    path = write_subjects(tmp_path / BRAIN_FILE)
    path.write_bytes(path.read_bytes()[:900] if content == "truncated" else content)
    with pytest.raises(DataError, match=r"92_brainRDMs\.mat (cannot be read as a MATLAB file|lacks the variable)"):
        read_subject_rdms(path)


def test_files_that_are_not_there_are_named():
    with pytest.raises(DataError, match=r"Expected one file Kriegeskorte_Neuron2008_supplementalData\.mat, found 0"):
        plugin("stimuli", "kriegeskorte92").load(DataFiles({}))


def test_every_row_of_the_manifest_is_valid_and_its_object_exists():
    rows = [row for row in Catalogue.discover().rows if row.package == "isocortex-kriegeskorte2008"]
    sets = ["Kriegeskorte2008.human-IT", "Kriegeskorte2008.monkey-IT"]
    benchmarks = [*(f"{name}.rsa" for name in sets), "Kriegeskorte2008.human-IT.rsa-pearson"]
    assert sorted(row.id for row in rows) == sorted(["kriegeskorte92", *sets, *benchmarks])
    for row in rows:
        card = read_card(row)
        assert card.licence
        assert card.reference == "doi:10.1016/j.neuron.2008.10.043"
        if row.kind in ("stimuli", "dataset"):
            make_plugin(row.kind, card)
        if row.kind == "benchmark":
            settings = {"comparison": "pearson"} if row.id.endswith("-pearson") else {}
            assert (card.metric, card.reduction, card.settings) == ("rsa", "flatten", settings)


def test_the_lists_of_files_are_pinned_to_a_commit():
    catalogue = Catalogue.discover()
    for kind, name, file in (
        ("stimuli", "kriegeskorte92", IMAGE_FILE),
        ("dataset", "Kriegeskorte2008.monkey-IT", IMAGE_FILE),
        ("dataset", "Kriegeskorte2008.human-IT", BRAIN_FILE),
    ):
        card = read_card(catalogue.find(kind, name))
        (spec,) = read_specs(card.folder, card.files)
        assert spec.name == file
        head, _, rest = spec.url.partition("/rsatoolbox/")
        assert head == "https://raw.githubusercontent.com/rsagroup"
        commit, _, path = rest.partition("/")
        assert len(commit) == 40
        assert path == f"demos/92imageData/{file}"
