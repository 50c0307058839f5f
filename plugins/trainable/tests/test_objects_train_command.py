"""``isocortex train``: from an archive to a folder that can be scored; the same bytes from a seed, and after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

import isocortex as package  # noqa: E402
from isocortex.errors import DataError, FilesError  # noqa: E402
from isocortex.training import read_fitted  # noqa: E402
from isocortex.training.journal import Journal  # noqa: E402
from isocortex_trainable.objects.cifar_archives import Cifar, opened_cifar  # noqa: E402
from isocortex_trainable.objects.cifar_cnn import CifarCNN, CifarCNNArchitecture  # noqa: E402
from isocortex_trainable.objects.models import weights_of  # noqa: E402
from plugins.trainable.tests.synthetic_archives import Files, cifar10, small_cifar100, write_archive  # noqa: E402

Run = Callable[..., Any]
CNN = ("train", "cifar-cnn", "--data", "cifar-10-python.tar.gz", "--epochs", "3", "--width", "0.1", "--device", "cpu")
HD = ("train", "hd-cnn", "--data", "cifar-100-python.tar.gz", "--epochs", "2,1,1,1", "--width", "0.015625")


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def ten_classes() -> Files:
    """Ten classes that can be told apart: the class is how bright the image is."""
    files = cifar10(n_images=40)
    for batch in files.values():
        if "labels" in batch:
            bright = 20 * np.array(batch["labels"])[:, None]
            batch["data"] = (batch["data"] // 16 + bright).astype(np.uint8)
    return files


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_archive(tmp_path / "cifar-10-python.tar.gz", ten_classes())
    write_archive(tmp_path / "cifar-100-python.tar.gz", small_cifar100())
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class KilledError(Exception):
    """What stands for a kill."""


def kill_after(monkeypatch: pytest.MonkeyPatch, n_epochs: int) -> None:
    """The process ends once so many epochs of all parts are on the disk."""
    tell, seen = Journal.tell, []

    def told(self: Journal, part: Any) -> None:
        tell(self, part)
        seen.append(part.name)
        if len(seen) == n_epochs:
            raise KilledError

    monkeypatch.setattr(Journal, "tell", told)


def test_the_small_cnn_from_an_archive_to_its_folder(folder: Path, isocortex: Run) -> None:
    done = isocortex(*CNN, "--out", "a")
    assert done.returncode == 0, done.stderr
    fitted = read_fitted(folder / "a")
    test = fitted.settings["test"]
    assert f"cifar-cnn: {test['accuracy']:.1%} of 40 test images are named right; epochs: training" in done.stdout
    assert "Score it with -m cifar-cnn@file:a" in done.stdout
    assert "cifar-cnn on cifar-10: epoch 3/3" in done.stderr
    assert "left" in done.stderr
    assert "has another MD5 than the published cifar-10-python.tar.gz" in done.stderr
    curve = fitted.curves["training held_out_accuracy"]
    assert len(curve) == 3
    assert fitted.settings["epochs"] == {"training": 1 + curve.index(max(curve))}
    # the network by hand: its weights, pixels / 255, the most likely class
    network = CifarCNN(CifarCNNArchitecture().scaled(0.1)).eval()
    network.load_state_dict(weights_of(fitted))
    files = ten_classes()["test_batch"]
    pixels = torch.from_numpy(files["data"].reshape(-1, 3, 32, 32).astype(np.float32) / 255)
    given = network(pixels).argmax(dim=1).numpy()
    expected = np.zeros((10, 10), int)
    np.add.at(expected, (np.array(files["labels"]), given), 1)
    assert test["confusion"] == expected.tolist()
    assert test["accuracy"] == np.trace(expected) / 40
    assert fitted.settings["classes"][3] == "cat"
    with opened_cifar(folder / "cifar-10-python.tar.gz") as data:
        assert set(fitted.trained_on.contents) == set(data.training.contents)  # type: ignore[union-attr]


def test_the_same_seed_gives_the_same_bytes_and_a_second_call_trains_nothing(folder: Path, isocortex: Run) -> None:
    assert isocortex(*CNN, "--out", "a").returncode == 0
    assert isocortex(*CNN, "--out", "b").returncode == 0
    assert isocortex(*CNN, "--out", "c", "--seed", "1").returncode == 0
    assert content(folder / "a") == content(folder / "b")
    assert content(folder / "a")["weights.safetensors"] != content(folder / "c")["weights.safetensors"]
    again = isocortex(*CNN, "--out", "a")
    assert "It was trained before." in again.stdout
    assert "epoch" not in again.stderr
    other = isocortex(*CNN, "--out", "a", "--seed", "1")
    assert other.returncode == 2
    assert "a holds another training. Choose another --out, or delete it." in other.stderr
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").write_text("mine")
    assert "is there already, and is no whole training" in isocortex(*CNN, "--out", "mine").stderr
    assert (folder / "mine" / "notes.txt").read_text() == "mine"


def test_killed_at_the_end_of_an_epoch_it_goes_on_to_the_same_bytes(
    folder: Path, isocortex: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isocortex(*CNN, "--out", "whole").returncode == 0
    with monkeypatch.context() as killed:
        kill_after(killed, 2)
        done = isocortex(*CNN, "--out", "a")
        assert "KilledError" in done.stderr
    assert not (folder / "a").exists()
    done = isocortex(*CNN, "--out", "a")
    assert "epoch 3/3" in done.stderr
    assert "epoch 2/3" not in done.stderr
    assert content(folder / "a") == content(folder / "whole")


def test_hd_cnn_in_all_its_stages_killed_within_a_branch(
    folder: Path, isocortex: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        kill_after(killed, 4)  # plain 2, coarse 1, and the first branch
        assert "KilledError" in isocortex(*HD, "--out", "a").stderr
    done = isocortex(*HD, "--out", "a")
    assert done.returncode == 0, done.stderr
    assert "epoch 5/7" in done.stderr
    assert isocortex(*HD, "--out", "b").returncode == 0
    assert content(folder / "a") == content(folder / "b")
    assert "in the right coarse class" in done.stdout
    assert "Whitening was fitted on 54 images of 3,072 values each" in done.stderr
    fitted = read_fitted(folder / "a")
    assert list(fitted.settings["epochs"]) == ["plain", "coarse", "fine_0", "fine_1", "fine_2", "end_to_end"]
    table, coarse = (np.array(fitted.settings["test"][key]) for key in ("confusion", "coarse"))
    assert table.sum() == 60
    groups = [np.arange(6) % 3 == number for number in range(3)]
    expected = [[int(table[np.ix_(row, column)].sum()) for column in groups] for row in groups]
    assert coarse.item()["confusion"] == expected
    assert len(fitted.curves["fine_2 held_out_loss"]) == 1
    with package.load_model("hd-cnn@file:a") as loaded:
        assert list(loaded.layers)[-1] == "logits"
        assert "fine_2.dense" in loaded.layers
        assert "shared.pool5" in loaded.layers
        assert any("Whitening was fitted on 54 images" in text for text in loaded.warnings)


def test_the_test_part_is_read_once_when_everything_is_chosen(
    folder: Path, isocortex: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    test, tell = Cifar.test, Journal.tell
    monkeypatch.setattr(Cifar, "test", lambda self: (order.append("test"), test(self))[1])
    monkeypatch.setattr(Journal, "tell", lambda self, part: (order.append("epoch"), tell(self, part))[1])
    read = Cifar._read
    monkeypatch.setattr(Cifar, "_read", lambda self, name: (order.append(name), read(self, name))[1])
    assert isocortex(*CNN, "--out", "a").returncode == 0
    assert order == [
        *(f"data_batch_{number}" for number in range(1, 6)),
        "epoch",
        "epoch",
        "epoch",
        "test",
        "test_batch",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--epochs", "1,2"), "cifar-cnn has one number of epochs, at least 1; found 1,2."),
        (("--epochs", "0"), "at least 1; found 0."),
        (("--epochs", "many"), "expected whole numbers with commas between them, found 'many'."),
        (("--no-whiten",), "--no-whiten and --no-augment are for hd-cnn"),
        (("--width", "0"), "0"),
        (("--seed", "-1"), "-1"),
        (("--device", "cuda:77"), "There is no device 'cuda:77' here."),
        (("--data", "nowhere"), "nowhere does not exist."),
    ],
)
def test_what_cannot_be_trained_is_refused(
    folder: Path, isocortex: Run, arguments: tuple[str, ...], message: str
) -> None:
    done = isocortex(*CNN, "--out", "a", *arguments)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "a").exists()


def test_ten_classes_have_no_coarse_ones_and_epochs_of_stages_are_four(folder: Path, isocortex: Run) -> None:
    of_ten = isocortex("train", "hd-cnn", "--data", "cifar-10-python.tar.gz", "--out", "a")
    assert "cifar-10 has no coarse classes. Take cifar-100-python.tar.gz." in of_ten.stderr
    two = isocortex(*HD[:-3], "3,4", "--out", "a")
    assert "hd-cnn has four numbers of epochs" in two.stderr


@pytest.mark.long
def test_processes_that_are_killed_or_that_meet_leave_one_artefact(folder: Path) -> None:
    longer = [*CNN[:-3], "0.1", "--device", "cpu", "--out", "a"]
    longer[longer.index("3")] = "40"
    command = [sys.executable, "-m", "isocortex", *longer]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    assert killed.stderr is not None
    for line in killed.stderr:
        if "epoch 12/40" in line:
            killed.kill()
    assert killed.wait() == -9
    assert not (folder / "a").exists()
    pair = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in "ab"]
    said = [process.communicate(timeout=100) for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    assert sorted("It was trained before." in out for out, _ in said) == [False, True]
    assert not any("epoch 4/40" in error for _, error in said)  # gone on with, not begun again
    whole = [*longer[:-1], "whole"]
    subprocess.run([sys.executable, "-m", "isocortex", *whole], env=env, check=True, capture_output=True)
    assert content(folder / "a") == content(folder / "whole")


# --- as a feature model


def write_images(folder: Path, pixels: np.ndarray) -> Path:
    """A folder as a data set: images of two sizes, and responses of their brightness."""
    (folder / "stimuli").mkdir(parents=True)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / "stimuli" / f"i{number:02}.png")
    rows = [f"i{number:02},{image.mean():.3f}" for number, image in enumerate(pixels)]
    (folder / "responses.csv").write_text("\n".join(["stimulus_id,site1", *rows]) + "\n")
    return folder


def test_what_was_trained_is_scored_on_images_it_never_saw_alone(folder: Path, isocortex: Run) -> None:
    assert isocortex(*CNN, "--out", "a").returncode == 0
    files = ten_classes()
    of_test, of_training = (
        files[name]["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1) for name in ("test_batch", "data_batch_2")
    )
    new = package.extract("cifar-cnn@file:a", f"folder:{write_images(folder / 'new', of_test)}", layers=["logits"])
    assert list(new["logits"].units or ())[:2] == ["airplane", "automobile"]
    network = CifarCNN(CifarCNNArchitecture().scaled(0.1)).eval()
    network.load_state_dict(weights_of(read_fitted(folder / "a")))
    expected = network(torch.from_numpy(of_test.transpose(0, 3, 1, 2).astype(np.float32) / 255)).detach().numpy()
    np.testing.assert_allclose(new["logits"].array(), expected, atol=1e-5)
    scored = isocortex("score", "-m", "cifar-cnn@file:a", "-b", f"folder:{folder / 'new'}:ridge", "--layers", "dense")
    seen = isocortex(
        "score", "-m", "cifar-cnn@file:a", "-b", f"folder:{write_images(folder / 'seen', of_training)}:ridge"
    )
    assert scored.returncode == 0, scored.stderr
    assert seen.returncode != 0
    assert "has learned from" in seen.stderr


def test_folders_of_another_network_are_refused(folder: Path, isocortex: Run) -> None:
    assert isocortex(*CNN, "--out", "a").returncode == 0
    with pytest.raises(DataError, match="was trained as 'cifar-cnn', and is not opened as 'hd-cnn'"):
        package.load_model("hd-cnn@file:a")
    (folder / "a" / "weights.safetensors").write_bytes(b"0")
    with pytest.raises(FilesError, match="is not as it was written"):
        package.load_model("cifar-cnn@file:a")


def test_images_of_another_size_are_squashed_which_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 40, 50, 3)).astype(np.uint8)
    images = write_images(folder / "wide", pixels)
    with package.load_model("cifar-cnn@random:0") as loaded:
        assert not loaded.warnings
    package.extract("cifar-cnn@random:0", f"folder:{images}", layers=["conv1"])
    assert "warning: The network sees 32 × 32 pixels: images of another size were squashed" in capsys.readouterr().err
