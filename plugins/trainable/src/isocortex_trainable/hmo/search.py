"""The search: rounds of trials by the tree-structured Parzen estimator, each round on what the last ones got wrong.

A round tries stacks alone and keeps the one that helps most beside those of earlier rounds. Whatever is finished lies
on disk, sealed, and is never computed again: a search that was killed goes on where it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from isocortex.errors import UsageError
from isocortex.files import read_sealed, write_sealed
from isocortex_trainable.hmo.boosting import reweighted, weighted_accuracy
from isocortex_trainable.hmo.configuration import Configuration, ImageSettings, StackSettings
from isocortex_trainable.hmo.correlation_classifier import held_out_correct, stratified_folds
from isocortex_trainable.hmo.network import features
from isocortex_trainable.hmo.screening import LabelledImages
from isocortex_trainable.hmo.search_space import Chosen, SearchSpace, seed_of
from isocortex_trainable.hmo.tpe import propose

Correct = NDArray[np.bool_]


class SearchSettings(BaseModel):
    """What decides a search, beside its images."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    seed: int = Field(default=0, ge=0, lt=2**32)
    trials: int = Field(default=30, ge=1, le=10_000, description="of each round")
    rounds: int = Field(default=3, ge=1, le=8, description="stacks side by side, at most: one found by each round")
    top: int = Field(default=10, ge=1, description="best trials of a round that are tried beside the stacks before")
    levels: int = Field(default=1, ge=1, le=2, description="2: a last round searches a stack on top")
    folds: int = Field(default=3, ge=2)
    image: ImageSettings = ImageSettings()
    space: SearchSpace = SearchSpace()

    @property
    def n_steps(self) -> int:
        """Networks that are run, at most."""
        return self.rounds * (self.trials + min(self.top, self.trials)) + (self.levels - 1) * self.trials


@dataclass(frozen=True)
class Found:
    """What a search found: the network, and its share of search images that means of the other folds classify.

    ``accuracy_by_step`` is that share after every round, and of the best second level, where there is one.
    """

    configuration: Configuration
    accuracy: float
    accuracy_by_step: tuple[float, ...]


@dataclass(frozen=True)
class Trial:
    """A finished trial."""

    stack: StackSettings
    choices: Chosen
    value: float
    correct: Correct

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        bits = "".join("1" if right else "0" for right in self.correct)
        return {
            "value": self.value,
            "choices": self.choices,
            "stack": self.stack.model_dump(mode="json"),
            "correct": bits,
        }

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Trial:
        """As it was kept."""
        correct = np.array([bit == "1" for bit in content["correct"]])
        return cls(StackSettings.model_validate(content["stack"]), content["choices"], content["value"], correct)


class Search:
    """A search in a folder.

    Parameters
    ----------
    task
        Images to search on, and no others.
    settings
        What decides it.
    folder
        Where what is finished lies.
    told
        Called after every network that was run or found finished, with whether it was run.

    Raises
    ------
    UsageError
        The folder holds a search with other settings or images, or optuna is not installed.
    """

    def __init__(
        self, task: LabelledImages, settings: SearchSettings, folder: Path, told: Callable[[bool], None] | None = None
    ) -> None:
        self.task, self.settings, self.folder = task, settings, folder
        self._told = told
        self._folds = stratified_folds(task.labels, settings.folds, settings.seed)
        self._claim()

    def _claim(self) -> None:
        images = hashlib.sha256(np.ascontiguousarray(self.task.images).tobytes() + self.task.labels.tobytes())
        own = {"settings": self.settings.model_dump(mode="json"), "images": images.hexdigest()}
        path = self.folder / "search.json"
        state, found = read_sealed(path)
        if state == "whole":
            if other := [name for name in own if found.get(name) != own[name]]:
                raise UsageError(
                    f"{self.folder} holds a search with other {' and '.join(other)}. Give another folder to --out."
                )
        elif self.folder.exists() and any(not name.name.startswith(".") for name in self.folder.iterdir()):
            raise UsageError(f"{self.folder} holds no search that can be gone on with. Give an empty folder to --out.")
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_sealed(path, own)

    def run(self) -> Found:
        """Search, and return what was found.

        Every round runs ``trials`` stacks by themselves. The value of one is the share of the images' weight that it
        classifies; the means that classify are weighted, too. The ``top`` best are each put beside the stacks of
        earlier rounds, and the one that classifies most images then is taken. What that network gets wrong weighs more
        in the next round. Of the networks that the rounds leave, each with a stack more, the first that classifies most
        images is kept. With two levels a last round, all images weighing the same, tries stacks on top of it; the best
        is kept where it classifies more than the first level alone.
        """
        weights, chosen, by_step = np.ones(len(self.task.labels)), list[StackSettings](), list[float]()
        correct = np.zeros(len(self.task.labels), dtype=bool)
        for number in range(1, self.settings.rounds + 1):
            place = f"round-{number}"
            trials = self._trials(place, number, weights, below=None)
            joined = [
                self._candidate(f"{place}/joined-{index:04d}.json", (*chosen, trials[index].stack))
                for index in best_of(trials, self.settings.top)
            ]
            best = max(joined, key=lambda one: one.value)
            chosen.append(best.stack)
            by_step.append(best.value)
            correct = best.correct
            weights = reweighted(weights, correct, len(self.task.classes))
        found = self._configuration([chosen[: by_step.index(max(by_step)) + 1]])
        if self.settings.levels == 1:
            return Found(found, max(by_step), tuple(by_step))
        return self._with_second_level(found, by_step)

    def _with_second_level(self, first: Configuration, by_step: list[float]) -> Found:
        equal = np.ones(len(self.task.labels))
        trials = self._trials("level-2", self.settings.rounds + 1, equal, below=first)
        best = trials[best_of(trials, 1)[0]]
        accuracy, steps = max(by_step), (*by_step, best.value)
        if best.value <= accuracy:
            return Found(first, accuracy, steps)
        return Found(self._configuration([first.levels[0], [best.stack]]), best.value, steps)

    def _trials(
        self, place: str, number: int, weights: NDArray[np.float64], below: Configuration | None
    ) -> list[Trial]:
        size = self.settings.image.size if below is None else below.map_size
        trials: list[Trial] = []
        for index in range(self.settings.trials):

            def compute(seed: int = seed_of(self.settings.seed, number, index)) -> Trial:
                finished = [(trial.choices, trial.value) for trial in trials]
                stack, choices = propose(self.settings.space, finished, size=size, seed=seed)
                levels = [[stack]] if below is None else [*below.levels, [stack]]
                correct = self._correct(self._configuration(levels), weights)
                return Trial(stack, choices, weighted_accuracy(correct, weights), correct)

            trials.append(self._kept(f"{place}/trial-{index:04d}.json", compute))
        return trials

    def _candidate(self, name: str, stacks: Sequence[StackSettings]) -> Trial:
        def compute() -> Trial:
            correct = self._correct(self._configuration([stacks]), None)
            return Trial(stacks[-1], {}, float(correct.mean()), correct)

        return self._kept(name, compute)

    def _kept(self, name: str, compute: Callable[[], Trial]) -> Trial:
        """What is on disk, or is computed now and put there; what is damaged is computed again."""
        path = self.folder / name
        state, content = read_sealed(path)
        if state == "whole":
            trial = Trial.of_json(content)
        else:
            trial = compute()
            path.parent.mkdir(parents=True, exist_ok=True)
            write_sealed(path, trial.to_json())
        if self._told is not None:
            self._told(state != "whole")
        return trial

    def _configuration(self, levels: Sequence[Sequence[StackSettings]]) -> Configuration:
        return Configuration(image=self.settings.image, levels=tuple(tuple(stacks) for stacks in levels))

    def _correct(self, configuration: Configuration, weights: NDArray[np.float64] | None) -> Correct:
        given = features(configuration, self.task.images)
        return held_out_correct(given, self.task.labels, self._folds, weights)


def best_of(trials: Sequence[Trial], n_best: int) -> list[int]:
    """Places of the best trials, best first; of equal ones the earlier."""
    return sorted(range(len(trials)), key=lambda index: -trials[index].value)[:n_best]
