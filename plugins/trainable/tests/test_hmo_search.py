"""A search repeats itself from its seed, also when it was killed, and never sees what it is tested on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isocortex import load_model
from isocortex.errors import DataError, UsageError
from isocortex_trainable.hmo import tpe
from isocortex_trainable.hmo.boosting import reweighted, weighted_accuracy
from isocortex_trainable.hmo.configuration import Configuration, ImageSettings, read_configuration
from isocortex_trainable.hmo.correlation_classifier import held_out_correct, stratified_folds
from isocortex_trainable.hmo.labelled_folder import parted, read_labelled_folder
from isocortex_trainable.hmo.network import features
from isocortex_trainable.hmo.screening import CLASSES, LabelledImages, shapes_on_textures
from isocortex_trainable.hmo.search import Found, Search, SearchSettings, Trial, best_of
from isocortex_trainable.hmo.search_space import RandomChooser, SearchSpace

Command = Callable[..., subprocess.CompletedProcess[str]]
SMALL = SearchSettings(seed=3, trials=3, rounds=2, top=2, levels=2, image=ImageSettings(size=16))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def task() -> LabelledImages:
    return shapes_on_textures(8, seed=0, purpose="search", size=16)


class StoppedError(Exception):
    """As a kill between two networks would."""


def stop_after(n_networks: int) -> Callable[[bool], None]:
    left = [n_networks]

    def told(computed: bool) -> None:
        left[0] -= computed
        if left[0] < 0:
            raise StoppedError

    return told


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.json"))}


@pytest.fixture(scope="module")
def undisturbed(task: LabelledImages, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Found]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, Search(task, SMALL, folder).run()


def test_a_search_that_is_stopped_after_every_network_ends_as_one_that_is_not(
    task: LabelledImages, undisturbed: tuple[Path, Found], tmp_path: Path
):
    n_stops = 0
    while True:
        try:
            found = Search(task, SMALL, tmp_path, stop_after(1)).run()
            break
        except StoppedError:
            n_stops += 1
    assert n_stops == SMALL.n_steps // 2
    assert found == undisturbed[1]
    assert files(tmp_path) == files(undisturbed[0])


def test_another_seed_tries_others(task: LabelledImages, undisturbed: tuple[Path, Found], tmp_path: Path):
    other = SMALL.model_copy(update={"seed": 4, "rounds": 1, "levels": 1})
    Search(task, other, tmp_path).run()
    stacks = [json.loads(files(folder)["round-1/trial-0000.json"])["stack"] for folder in (tmp_path, undisturbed[0])]
    assert stacks[0]["seed"] != stacks[1]["seed"]
    assert stacks[0]["layers"] != stacks[1]["layers"]


def test_what_is_damaged_is_computed_again(task: LabelledImages, undisturbed: tuple[Path, Found], tmp_path: Path):
    for name, content in files(undisturbed[0]).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    victim = tmp_path / "round-1" / "trial-0001.json"
    victim.write_bytes(victim.read_bytes().replace(b'"value": 0.', b'"value": 9.'))
    computed: list[bool] = []
    assert Search(task, SMALL, tmp_path, computed.append).run() == undisturbed[1]
    assert sum(computed) == 1
    assert files(tmp_path) == files(undisturbed[0])


def test_other_settings_or_images_do_not_share_a_folder(
    task: LabelledImages, undisturbed: tuple[Path, Found], tmp_path: Path
):
    with pytest.raises(UsageError, match="a search with other settings"):
        Search(task, SMALL.model_copy(update={"trials": 4}), undisturbed[0])
    with pytest.raises(UsageError, match="a search with other images"):
        Search(shapes_on_textures(8, seed=1, purpose="search", size=16), SMALL, undisturbed[0])
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds no search"):
        Search(task, SMALL, tmp_path)


def test_rounds_choose_and_weigh_as_they_say(task: LabelledImages, undisturbed: tuple[Path, Found]):
    folder, found = undisturbed
    folds = stratified_folds(task.labels, SMALL.folds, SMALL.seed)
    weights, chosen = np.ones(len(task.labels)), []

    def correct(levels: Any, weights: np.ndarray | None) -> np.ndarray:
        configuration = Configuration(image=SMALL.image, levels=levels)
        return held_out_correct(features(configuration, task.images), task.labels, folds, weights)

    for number in (1, 2):
        names = sorted((folder / f"round-{number}").glob("trial-*.json"))
        trials = [Trial.of_json(json.loads(path.read_text())) for path in names]
        for trial in trials:
            assert trial.value == weighted_accuracy(correct([[trial.stack]], weights), weights)
        best = sorted(trials, key=lambda trial: -trial.value)[: SMALL.top]
        beside = [correct([[*chosen, trial.stack]], None) for trial in best]
        winner = int(np.argmax([one.mean() for one in beside]))
        chosen.append(best[winner].stack)
        assert found.accuracy_by_step[number - 1] == beside[winner].mean()
        weights = reweighted(weights, beside[winner], len(CLASSES))
    by_round = found.accuracy_by_step[:2]
    kept = chosen[: 1 + (by_round[1] > by_round[0])]
    assert found.configuration.levels[0] == tuple(kept)
    tops = [Trial.of_json(json.loads(path.read_text())) for path in sorted((folder / "level-2").glob("*.json"))]
    values = [correct([kept, [trial.stack]], None).mean() for trial in tops]
    assert found.accuracy == max(*values, *by_round)
    assert len(found.configuration.levels) == 1 + (max(values) > max(by_round))


def test_the_estimator_learns_from_what_it_is_told():
    """On a function of one setting, trials after the first ten are closer to its maximum than chance."""
    space, finished = SearchSpace(depth=(1,)), list[tuple[dict[str, Any], float]]()
    for index in range(40):
        stack, choices = tpe.propose(space, finished, size=16, seed=index)
        finished.append((choices, -abs(stack.layers[0].std - 0.6)))
    distance = [-value for _, value in finished]
    assert np.mean(distance[25:]) < 0.6 * np.mean(distance[: tpe.N_RANDOM])


def test_without_optuna_the_search_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, isocortex: Command, tmp_path: Path
):
    monkeypatch.setitem(sys.modules, "optuna", None)
    done = isocortex("hmo", "search", "--out", "found", "--trials", "1")
    assert done.returncode == 2
    assert "pip install 'isocortex-trainable[search]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "found").exists()


def test_images_of_the_search_are_never_those_of_a_test():
    digests = [
        {image.tobytes() for seed in range(4) for image in shapes_on_textures(2, seed, purpose, 16).images}
        for purpose in ("search", "test")
    ]
    assert len(digests[0]) == len(digests[1]) == 4 * 2 * len(CLASSES)
    assert not digests[0] & digests[1]


def test_image_number_n_does_not_depend_on_how_many_are_drawn():
    few, many = (shapes_on_textures(n, 7, "search", 16) for n in (2, 5))
    for label in range(len(CLASSES)):
        assert np.array_equal(few.images[few.labels == label], many.images[many.labels == label][:2])


def picture_folder(folder: Path, n_images: int = 8) -> Path:
    from PIL import Image

    generator = np.random.default_rng(0)
    for place, name in enumerate(("left", "right")):
        (folder / name).mkdir(parents=True)
        for number in range(n_images):
            picture = generator.integers(0, 100, (20, 30, 3), dtype=np.uint8)
            picture[:, 15 * place : 15 * place + 15] += 120
            Image.fromarray(picture).save(folder / name / f"{number}.png")
    return folder


def test_a_quarter_of_each_class_of_a_folder_is_kept_from_the_search(tmp_path: Path):
    whole = read_labelled_folder(picture_folder(tmp_path / "images"), ImageSettings(size=16, colours="rgb"))
    assert whole.images.shape == (16, 3, 16, 16)
    assert whole.classes == ("left", "right")
    searched, held_out = parted(whole, seed=0)
    assert np.bincount(searched.labels).tolist() == [6, 6]
    assert np.bincount(held_out.labels).tolist() == [2, 2]
    assert not {image.tobytes() for image in searched.images} & {image.tobytes() for image in held_out.images}


def test_folders_that_are_no_task_are_refused(tmp_path: Path):
    settings = ImageSettings(size=16)
    few = picture_folder(tmp_path / "few", n_images=3)
    with pytest.raises(DataError, match="fewer than 8 images"):
        read_labelled_folder(few, settings)
    with pytest.raises(DataError, match="0 folders"):
        read_labelled_folder(tmp_path / "nowhere", settings)
    twice = picture_folder(tmp_path / "twice")
    (twice / "right" / "z.png").write_bytes((twice / "left" / "0.png").read_bytes())
    with pytest.raises(DataError, match="are the same image"):
        read_labelled_folder(twice, settings)
    other = picture_folder(tmp_path / "other")
    (other / "left" / "list.csv").write_text("a,b")
    with pytest.raises(DataError, match=r"no image: list\.csv"):
        read_labelled_folder(other, settings)
    (other / "left" / "list.csv").rename(other / "list.csv")
    with pytest.raises(DataError, match=r"a folder for each class: list\.csv"):
        read_labelled_folder(other, settings)
    (other / "list.csv").rename(other / ".list.csv")
    (other / ".hidden").mkdir()
    assert read_labelled_folder(other, settings).classes == ("left", "right")


def test_the_command_searches_a_folder_and_its_result_is_a_model(isocortex: Command, tmp_path: Path):
    picture_folder(tmp_path / "images")
    arguments = ("hmo", "search", "--images", "images", "--colours", "rgb", "--size", "16", "--trials", "2", "--out")
    done = isocortex(*arguments, "found")
    assert done.returncode == 0, done.stderr
    assert "min left" in done.stderr
    assert "of 4 new images, chance 0.500" in done.stdout
    configuration = read_configuration(tmp_path / "found" / "found.json")
    assert configuration.made_by is not None
    assert configuration.made_by["n_new_images"] == 4
    assert 1 <= len(configuration.levels[0]) <= 3
    again = isocortex(*arguments, "again")
    assert again.returncode == 0
    assert (tmp_path / "again" / "found.json").read_bytes() == (tmp_path / "found" / "found.json").read_bytes()
    with load_model(f"hmo@file:{tmp_path / 'found' / 'found.json'}") as model:
        assert model.layers[-1] == "output"


def test_the_command_refuses_two_tasks_and_coloured_shapes(isocortex: Command):
    both = isocortex("hmo", "search", "--images", "a", "--screening", "synthetic", "--out", "b")
    assert both.returncode == 2
    assert "name two tasks" in both.stderr
    coloured = isocortex("hmo", "search", "--colours", "rgb", "--out", "b")
    assert coloured.returncode == 2
    assert "The shapes are grey" in coloured.stderr


def test_progress_says_how_long_it_will_take(monkeypatch: pytest.MonkeyPatch):
    from isocortex_trainable.hmo.command import Progress

    clock = iter([0.0, 60.0, 90.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    said: list[str] = []
    progress = Progress(5, said.append)
    for computed in (False, True, True):
        progress.step(computed)
    assert said == ["networks 2/5, about 3.0 min left", "networks 3/5, about 1.5 min left"]


@pytest.mark.long
def test_a_search_that_is_killed_goes_on_and_ends_with_the_same_bytes(tmp_path: Path):
    def command(out: str) -> list[str]:
        size = ("--size", "16", "--per-class", "8", "--trials", "6", "--seed", "5")
        return [sys.executable, "-m", "isocortex", "hmo", "search", *size, "--out", out]

    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command("whole"), cwd=tmp_path, env=env, check=True, capture_output=True, timeout=300)
    for n_trials in (2, 9):
        running = subprocess.Popen(
            command("killed"), cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while len(list((tmp_path / "killed").rglob("*-*.json"))) < n_trials and running.poll() is None:
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL, "it ended before it was killed"
    assert not (tmp_path / "killed" / "found.json").exists()
    subprocess.run(command("killed"), cwd=tmp_path, env=env, check=True, capture_output=True, timeout=300)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_equal_trials_keep_their_order():
    stack = SearchSpace().draw_stack(RandomChooser(0), 16, 0)
    trials = [Trial(stack, {}, value, np.zeros(1, bool)) for value in (0.2, 0.5, 0.5, 0.1)]
    assert best_of(trials, 3) == [1, 2, 0]
