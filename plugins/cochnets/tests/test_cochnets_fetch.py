"""``isocortex fetch`` of trained weights: found by name, read without code, compared with the network, copied whole."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import save_file  # noqa: E402

from isocortex.catalogue.cards import Variant  # noqa: E402
from isocortex.errors import DataError, FilesError, StoreError  # noqa: E402
from isocortex.loading.by_name import load_model  # noqa: E402
from isocortex.loading.resolver import resolver  # noqa: E402
from isocortex.run.fetch import fetch_all  # noqa: E402
from isocortex_cochnets.kell2018_weights import FILES  # noqa: E402
from isocortex_cochnets.models import CochCNN9, CochResNet50, Kell2018  # noqa: E402
from isocortex_cochnets.weights import find_below, names_of  # noqa: E402

pytestmark = pytest.mark.xdist_group("cochresnet50")

MODEL, PRETRAINED = "cochcnn9-word", Variant.parse("pretrained")
UUID = "2b411fd2-56f2-46c1-ad45-1355d4ffadde"
PUBLISHED = f"{UUID}/5_checkpoint.pt"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_network(*_: object) -> Any:
    """A network of two tensors in the place of one of hundreds of megabytes; files of it are what is tested."""
    return torch.nn.Sequential(torch.nn.Linear(3, 2))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """All networks are small; returns the state of one."""
    for kind in (CochCNN9, CochResNet50, Kell2018):
        monkeypatch.setattr(kind, "build", small_network)
    return {"0.weight": torch.arange(6.0).reshape(2, 3), "0.bias": torch.ones(2)}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An empty folder of the user."""
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


def plugin_of(name: str = MODEL) -> Any:
    return resolver(offline=True).model(name)


def kept(own_folders: Path) -> list[str]:
    """What lies in the data folder."""
    folder = own_folders / "data" / "isocortex-cochnets"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def saved(path: Path, state: dict[str, Any], prefix: str = "") -> Path:
    """Tensors, as .safetensors or as a torch file that holds nothing else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {f"{prefix}{name}": tensor for name, tensor in state.items()}
    save_file(state, path) if path.suffix == ".safetensors" else torch.save({"model": state, "epoch": 5}, path)
    return path


# --- where weights are found


@pytest.mark.parametrize(
    ("name", "prefix", "there"),
    [
        ("cochcnn9-word.safetensors", "", "cochcnn9-word.safetensors"),
        ("deep/er/cochcnn9-word.pt", "module.model.1.", "cochcnn9-word.pt"),
        (f"model_checkpoints/x/{PUBLISHED}", "module.model.1.", "cochcnn9-word.pt"),
        (f"{UUID}/5_checkpoint.safetensors", "module.model.1.", "cochcnn9-word.safetensors"),
    ],
)
def test_weights_are_found_by_every_name_they_may_have(
    small: dict[str, Any], source: Path, own_folders: Path, name: str, prefix: str, there: str
) -> None:
    path = saved(source / name, small, prefix)
    found = plugin_of().fetch(PRETRAINED, source)
    assert found == [own_folders / "data" / "isocortex-cochnets" / there]
    assert found[0].read_bytes() == path.read_bytes()
    shutil.rmtree(source)
    assert plugin_of().fetch(PRETRAINED) == plugin_of().fetch(Variant.parse("permuted:2")) == found


def test_the_folder_of_a_checkpoint_may_be_named_itself(small: dict[str, Any], source: Path) -> None:
    saved(source / PUBLISHED, small)
    assert len(plugin_of().fetch(PRETRAINED, source / UUID)) == 1


def test_a_checkpoint_of_an_unknown_network_is_no_weights(small: dict[str, Any], source: Path) -> None:
    """All published checkpoints are called 5_checkpoint.pt, and several networks have the same shapes."""
    saved(source / "5_checkpoint.pt", small)
    saved(source / "46ed16b7-4097-4d99-b457-3cd1011b55cc" / "5_checkpoint.pt", small)
    saved(source / f"not-{UUID}" / "5_checkpoint.pt", small)
    with pytest.raises(FilesError, match=f"holds no weights of {MODEL}; expected one of .*{PUBLISHED}"):
        plugin_of().fetch(PRETRAINED, source)


def test_names_of_every_network_differ() -> None:
    found = resolver(offline=True)
    rows = [row.id for row in found.catalogue.of_kind("model") if row.package == "isocortex-cochnets"]
    names = [name for row in rows for name in names_of(found.model_card(row))]
    assert len(names) == len(set(names)) == 2 * 11 + 2 * 8
    assert all(Path(name).name == name or len(Path(name).parts) == 2 for name in names)


def test_the_converted_file_comes_before_the_pickled_one(small: dict[str, Any], source: Path) -> None:
    saved(source / PUBLISHED, small)
    saved(source / UUID / "5_checkpoint.safetensors", small)
    assert [path.suffix for path in plugin_of().fetch(PRETRAINED, source)] == [".safetensors"]


def test_different_files_of_one_name_are_refused(small: dict[str, Any], source: Path) -> None:
    saved(source / "x" / f"{MODEL}.pt", small)
    shutil.copytree(source / "x", source / "y")
    assert find_below(source, [f"{MODEL}.pt"]) == source / "x" / f"{MODEL}.pt"
    saved(source / "y" / f"{MODEL}.pt", {"0.weight": torch.zeros(1)})
    with pytest.raises(FilesError, match=rf"2 different files {MODEL}\.pt"):
        plugin_of().fetch(PRETRAINED, source)


def test_variants_without_weights_need_nothing(source: Path) -> None:
    assert list(plugin_of().fetch(Variant.parse("random:1"), source)) == []
    assert list(plugin_of("cochcnn9-genre").fetch(Variant.parse("random:1"))) == []


def test_absent_weights_name_every_place(own_folders: Path) -> None:
    with pytest.raises(FilesError, match=r"cannot download them\.\nLooked for\n") as raised:
        plugin_of().fetch(PRETRAINED)
    assert str(own_folders / "data" / "isocortex-cochnets" / f"{MODEL}.safetensors") in str(raised.value)
    assert f"isocortex fetch -m {MODEL} --from FOLDER" in str(raised.value)


# --- what they are


class Foreign:
    """What a pickle may ask for."""

    def __init__(self, ran: Path) -> None:
        self.ran = ran

    def __reduce__(self) -> Any:
        return (Path.touch, (self.ran,))


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_file_that_would_run_code_is_refused_with_the_way_to_convert_it(
    small: dict[str, Any], source: Path, own_folders: Path, tmp_path: Path, how: str
) -> None:
    path = source / PUBLISHED
    path.parent.mkdir()
    content = {"model": small, "schedule": Foreign(tmp_path / "ran")}
    if how == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(DataError, match="reading it would run code of unknown origin") as raised:
        plugin_of().fetch(PRETRAINED, source)
    target = own_folders / "data" / "isocortex-cochnets" / f"{MODEL}.safetensors"
    assert f"python -m isocortex.models.convert_checkpoint {path} {target} --i-trust-this-file" in str(raised.value)
    assert not (tmp_path / "ran").exists()
    assert kept(own_folders) == []


@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_truncated_weights_are_refused(
    small: dict[str, Any], source: Path, own_folders: Path, ending: str, share: float
) -> None:
    path = saved(source / f"{MODEL}{ending}", small)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=path.name):
        plugin_of().fetch(PRETRAINED, source)
    assert kept(own_folders) == []
    here = own_folders / "data" / "isocortex-cochnets" / path.name
    here.parent.mkdir(parents=True)
    shutil.copy(path, here)
    with pytest.raises(DataError, match=path.name):
        plugin_of().fetch(PRETRAINED)


def test_weights_that_do_not_fit_are_refused(small: dict[str, Any], source: Path, own_folders: Path) -> None:
    saved(source / f"{MODEL}.pt", {"0.weight": torch.zeros(2, 4), "extra": torch.zeros(1)})
    with pytest.raises(
        DataError, match=r"do not fit .*1 missing \(0\.bias\), 1 not known \(extra\), 1 of another shape"
    ):
        plugin_of().fetch(PRETRAINED, source)
    assert kept(own_folders) == []


def test_other_weights_than_those_that_are_here_are_refused(
    small: dict[str, Any], source: Path, own_folders: Path
) -> None:
    saved(source / f"{MODEL}.pt", small)
    (found,) = plugin_of().fetch(PRETRAINED, source)
    before = found.read_bytes()
    assert plugin_of().fetch(PRETRAINED, source) == [found], "the same again is no question"
    assert plugin_of().fetch(PRETRAINED, own_folders) == [found], "nor is the data folder itself"
    for ending in (".pt", ".safetensors"):  # the second would be loaded before the first
        saved(source / f"{MODEL}{ending}", {name: tensor + 1 for name, tensor in small.items()})
        with pytest.raises(FilesError, match=rf"{MODEL}\.pt is there already and differs from .*{ending}"):
            plugin_of().fetch(PRETRAINED, source)
    assert kept(own_folders) == [f"{MODEL}.pt"]
    assert found.read_bytes() == before


def test_a_folder_without_weights_is_no_harm_where_they_are_here(small: dict[str, Any], source: Path) -> None:
    saved(source / f"{MODEL}.pt", small)
    found = plugin_of().fetch(PRETRAINED, source)
    (source / f"{MODEL}.pt").unlink()
    assert plugin_of().fetch(PRETRAINED, source) == found


def test_a_copy_that_breaks_off_leaves_nothing(
    small: dict[str, Any], source: Path, own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(opened: Any, target: Any, length: int = 0) -> None:
        target.write(opened.read(7))
        raise KeyboardInterrupt

    saved(source / f"{MODEL}.pt", small)
    with monkeypatch.context() as patched:
        patched.setattr("shutil.copyfileobj", half)
        with pytest.raises(KeyboardInterrupt):
            plugin_of().fetch(PRETRAINED, source)
    assert kept(own_folders) == []
    with pytest.raises(FilesError, match="are not here"):
        plugin_of().fetch(PRETRAINED)


def test_a_data_folder_that_cannot_be_written_is_one_message(
    small: dict[str, Any], source: Path, own_folders: Path
) -> None:
    saved(source / f"{MODEL}.pt", small)
    (own_folders / "data").write_text("a file")
    with pytest.raises(StoreError, match="cannot be written"):
        plugin_of().fetch(PRETRAINED, source)


# --- the network of 2018: three files


def write_published(folder: Path, small: dict[str, Any], scale: float = 1.0) -> None:
    """The three files, of which one layer is that of the small network."""
    folder.mkdir(parents=True, exist_ok=True)
    layer = {"W": scale * small["0.weight"].numpy().T, "b": small["0.bias"].numpy()}
    for number, name in enumerate(FILES):
        content = {"0": layer} if number == 0 else {}
        np.save(folder / name, np.array(content, dtype=object), allow_pickle=True)


def test_three_files_are_brought_together(
    small: dict[str, Any], source: Path, own_folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = source / "kelletal2018" / "weights.v1"
    write_published(folder, small)
    (folder / "README.md").write_text("not a weight")
    (source / FILES[0]).write_bytes(b"a stray file of that name")
    fetch_all(["kell2018"], [], source, verify_only=False)
    where = own_folders / "data" / "isocortex-cochnets" / "kell2018"
    assert f"kell2018@pretrained: 3 files, 0.0 MB, verified in {where}" in capsys.readouterr().err
    assert kept(own_folders) == sorted(f"kell2018/{name}" for name in FILES)
    fetch_all(["kell2018"], [], None, verify_only=True)
    fetch_all(["kell2018"], [], source, verify_only=False)
    write_published(folder, small, scale=2)
    with pytest.raises(FilesError, match="is there already and differs from"):
        plugin_of("kell2018").fetch(PRETRAINED, source)
    write_published(source / "copy", small)
    with pytest.raises(FilesError, match="holds different files of that name"):
        plugin_of("kell2018").fetch(PRETRAINED, source)


def test_two_of_three_files_are_no_weights(small: dict[str, Any], source: Path, own_folders: Path) -> None:
    write_published(source, small)
    (source / FILES[2]).unlink()
    with pytest.raises(FilesError, match=r"holds no weights of kell2018; expected one of network_weights_early"):
        plugin_of("kell2018").fetch(PRETRAINED, source)
    half = own_folders / "data" / "isocortex-cochnets" / "kell2018"
    shutil.copytree(source, half)  # as after an interruption
    write_published(source, small, scale=3)
    assert len(plugin_of("kell2018").fetch(PRETRAINED, source)) == 3
    assert [(half / name).read_bytes() for name in FILES] == [(source / name).read_bytes() for name in FILES]


def test_three_files_with_code_are_refused(
    small: dict[str, Any], source: Path, own_folders: Path, tmp_path: Path
) -> None:
    write_published(source, small)
    np.save(source / FILES[1], np.array({"0": Foreign(tmp_path / "ran")}, dtype=object), allow_pickle=True)
    with pytest.raises(
        DataError, match=r"names pathlib\.Path\.touch, which these data never need\. Nothing of it was run"
    ):
        plugin_of("kell2018").fetch(PRETRAINED, source)
    assert not (tmp_path / "ran").exists()
    assert kept(own_folders) == []


# --- a whole network


def test_a_whole_network_is_brought_and_loaded(source: Path, own_folders: Path) -> None:
    """94 MB in the published layout, with a head of unknown size, and with one tensor of another shape."""
    with torch.device("meta"):
        names = plugin_of("cochresnet50-genre").build().state_dict()
    state = {
        name: torch.full(meta.shape, 0.5) if meta.is_floating_point() else torch.tensor(7)
        for name, meta in names.items()
    }
    saved(source / "cochresnet50-genre.safetensors", {**state, "fc.weight": torch.zeros(9, 2048)}, "module.model.1.")
    (found,) = plugin_of("cochresnet50-genre").fetch(PRETRAINED, source)
    assert found == own_folders / "data" / "isocortex-cochnets" / "cochresnet50-genre.safetensors"
    with load_model("cochresnet50-genre") as model:
        assert torch.equal(model.module.state_dict()["conv1.weight"], state["conv1.weight"])  # type: ignore[attr-defined]
    other = {name: tensor for name, tensor in state.items() if name.startswith("conv1")}
    saved(source / "cochresnet50-word.pt", other)
    with pytest.raises(DataError, match=r"The weights do not fit CochResNet50: tensors 3\d\d missing"):
        plugin_of("cochresnet50-word").fetch(PRETRAINED, source)
