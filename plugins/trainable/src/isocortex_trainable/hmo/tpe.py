"""Which settings to try next: the tree-structured Parzen estimator of optuna, asked anew for every trial.

Nothing of optuna is kept: a study is made of the finished trials, and the sampler of a trial has a seed of its own. So
a search that was killed and goes on asks for the same trials as one that was not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isocortex.errors import UsageError
from isocortex_trainable.hmo.configuration import StackSettings
from isocortex_trainable.hmo.search_space import Choice, Chosen, SearchSpace

#: trials that are drawn by chance before the estimator has something to go by
N_RANDOM = 10


def import_optuna() -> Any:
    """optuna, which only a search needs.

    Raises
    ------
    UsageError
        It is not installed; the message says how to get it.
    """
    try:
        import optuna
    except ImportError as error:
        raise UsageError("The search needs optuna: pip install 'isocortex-trainable[search]'.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class _Asked:
    """A chooser that asks a trial of optuna; numbers at equal distances are a range of whole numbers to it."""

    def __init__(self, trial: Any) -> None:
        self._trial = trial

    def one_of(self, name: str, options: Sequence[Choice]) -> Choice:
        steps = even_steps(options)
        if steps is None:
            return self._trial.suggest_categorical(name, list(options))
        return self._trial.suggest_int(name, steps[0], steps[1], step=steps[2])

    def between(self, name: str, low: float, high: float) -> float:
        return self._trial.suggest_float(name, low, high)


class _Recorded:
    """A chooser that repeats what was chosen, and notes among what."""

    def __init__(self, choices: Chosen) -> None:
        self._choices, self.distributions = choices, dict[str, Any]()
        self._kinds = import_optuna().distributions

    def one_of(self, name: str, options: Sequence[Choice]) -> Choice:
        steps = even_steps(options)
        self.distributions[name] = (
            self._kinds.CategoricalDistribution(list(options))
            if steps is None
            else self._kinds.IntDistribution(steps[0], steps[1], step=steps[2])
        )
        return self._choices[name]

    def between(self, name: str, low: float, high: float) -> float:
        self.distributions[name] = self._kinds.FloatDistribution(low, high)
        return float(self._choices[name])


def even_steps(options: Sequence[Choice]) -> tuple[int, int, int] | None:
    """First, last and distance of whole numbers at equal distances; None: they are something else.

    Examples
    --------
    >>> even_steps([3, 5, 7]), even_steps(["max", "average"]), even_steps([1, 2, 4])
    ((3, 7, 2), None, None)
    """
    numbers = [option for option in options if isinstance(option, int)]
    if len(numbers) < 2 or len(numbers) < len(options):
        return None
    step = numbers[1] - numbers[0]
    return (numbers[0], numbers[-1], step) if list(range(numbers[0], numbers[-1] + 1, step or 1)) == numbers else None


def propose(
    space: SearchSpace, finished: Sequence[tuple[Chosen, float]], *, size: int, seed: int
) -> tuple[StackSettings, Chosen]:
    """Have the estimator choose the stack of the next trial.

    Parameters
    ----------
    space
        What there is to choose.
    finished
        What was chosen in earlier trials, and what came of each: higher is better.
    size
        Height and width of the maps that stacks are given.
    seed
        Of this trial's choices and of its filters.

    Returns
    -------
    The stack, and what was chosen, by name.

    Raises
    ------
    UsageError
        optuna is not installed.
    """
    optuna = import_optuna()
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=N_RANDOM)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for choices, value in finished:
        recorded = _Recorded(choices)
        space.draw_stack(recorded, size, seed)
        study.add_trial(optuna.trial.create_trial(params=choices, distributions=recorded.distributions, value=value))
    trial = study.ask()
    stack = space.draw_stack(_Asked(trial), size, seed)
    return stack, dict(trial.params)
