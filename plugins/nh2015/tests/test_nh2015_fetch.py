"""``isocortex fetch`` of the voxels: from a folder or the archive, as the import does it; without, how to get them."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from isocortex.errors import FilesError, UnknownIDError
from isocortex.files.file_store import DataFiles
from isocortex.loading.resolver import make_plugin, resolver
from isocortex.run.fetch import fetch_all
from isocortex_nh2015 import release
from plugins.nh2015.tests import release as synthetic
from plugins.nh2015.tests.test_nh2015_voxels import expect_encoded


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release that no test changes."""
    return synthetic.write_data(tmp_path_factory.mktemp("release"))


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(written, tmp_path / "release"))


def fetch(*benchmarks: str, source: Path | None = None, verify: bool = False) -> str:
    """Fetch; the sounds are never here, so that there is always a failure, which is returned."""
    with pytest.raises(FilesError) as raised:
        fetch_all([], benchmarks, source, verify_only=verify)
    return str(raised.value)


def test_voxels_come_from_a_folder_with_recorded_checksums(root, capsys) -> None:
    said = fetch("NH2015.*", "B2021.ridge", source=root)
    assert said.startswith("1 of 3 could not be fetched, stimuli natsound165:"), said
    assert "Without --from they are downloaded" in said
    lines = capsys.readouterr().err.splitlines()
    where = release.release_folder()
    assert sum("No checksum is published for" in line for line in lines) == 2
    shown = [line for line in lines if line.startswith("data set")]
    assert [line.partition(" files")[0] for line in shown] == ["data set NH2015: 5", "data set B2021: 4"]
    assert all(line.endswith(f"{where}/neural/{name}") for line, name in zip(shown, ("NH2015", "B2021"), strict=True))
    shutil.rmtree(root)
    plugin = make_plugin("dataset", resolver(offline=True).dataset_card("NH2015"))
    expect_encoded(plugin.load(DataFiles({}), synthetic.stimuli()), 29)
    assert "2 of 3" not in fetch("NH2015.ridge", "B2021.ridge", verify=True)


def test_voxels_come_from_the_archive(root, tmp_path, own_folders, capsys) -> None:
    with tarfile.open(tmp_path / "data.tar", "w") as archive:
        archive.add(root / "data", "data")
    said = fetch("B2021.ridge", source=tmp_path / "data.tar")
    assert "/data.tar lacks 166 of the 166 files of natsound165" in said
    assert "data set B2021: 4 files" in capsys.readouterr().err
    assert [path.name for path in (own_folders / "data").iterdir()] == ["isocortex-nh2015"]
    assert len(release.present("B2021")) == 4


def test_without_a_source_it_says_where_they_lie_or_how_to_get_them(root, capsys) -> None:
    said = fetch("NH2015.ridge", verify=True)
    assert "4 of 4 files of 'NH2015' are not in" in said
    assert release.ADDRESS in said
    assert "isocortex fetch -b NH2015.ridge --from data.tar" in said
    release.record(root, "NH2015")
    capsys.readouterr()
    fetch("NH2015.ridge", verify=True)
    assert f"data set NH2015: 5 files, 0.2 MB, verified in {release.release_folder()}" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["tampered", "truncated"])
def test_a_file_that_changes_is_refused_by_fetch_and_by_load(root, change) -> None:
    release.record(root, "B2021")
    path = release.release_folder() / "neural/B2021/voxel_features_array.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-8] + (b"" if change == "truncated" else bytes(8)))
    assert "data set B2021: 1 of 4 files differ from those that were recorded" in fetch("B2021.ridge", verify=True)
    assert f"data set B2021: {path} is there already and differs from {root}" in fetch("B2021.ridge", source=root)
    plugin = make_plugin("dataset", resolver(offline=True).dataset_card("B2021"))
    with pytest.raises(FilesError, match="1 of 4 files differ"):
        plugin.load(DataFiles({}), synthetic.stimuli())


def test_another_release_is_refused(root) -> None:
    release.record(root, "B2021")
    array = root / "data/neural/B2021/voxel_features_array.npy"
    np.save(array, np.load(array) + 1)
    assert "data set B2021: 1 of 4 files differ" in fetch("B2021.ridge", source=root)


def test_a_folder_with_half_or_nothing_of_it(root, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    said = fetch("NH2015.ridge", source=tmp_path / "empty")
    assert "holds no neural/NH2015 of the release. 4 of 4 files" in said
    (root / "data/neural/NH2015/df_roi_meta.pkl").unlink()
    assert "lacks 1 of the 4 files of NH2015: neural/NH2015/df_roi_meta.pkl" in fetch("NH2015.ridge", source=root)
    assert not release.release_folder().exists(), "nothing of a half release is taken"


def test_an_archive_that_leads_outside_is_refused(tmp_path, own_folders) -> None:
    (tmp_path / "x").write_text("x")
    with tarfile.open(tmp_path / "data.tar", "w") as archive:
        archive.add(tmp_path / "x", "../neural/NH2015/df_roi_meta.pkl")
    with pytest.raises(FilesError, match="outside its folder"):
        fetch_all([], ["NH2015.ridge"], tmp_path / "data.tar", verify_only=False)
    assert list((own_folders / "data").iterdir()) == []


def test_an_unknown_benchmark_is_bad_usage(tmp_path) -> None:
    with pytest.raises(UnknownIDError, match=r"Did you mean NH2015\.ridge"):
        fetch_all([], ["NH2015.rigde"], tmp_path, verify_only=False)
