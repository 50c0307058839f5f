"""Which units go with which neuroids: the best assignment one to one, and the best plan of transport; on arrays.

Correlations of units with neuroids come in blocks of units, and no matrix of all units × all neuroids is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import gcd
from typing import Any, NamedTuple

import numpy as np

from isocortex.errors import DataError
from isocortex.typing import Array

#: blocks (width, n_neuroids) of correlations, units in order; may be read several times
Scan = Callable[[], Iterator[Array]]

#: pairs that a unit brings into the programme at a time
_PAIRS = 3
#: how much a pair must promise to be worth a further round, on the scale of correlations
_GAIN = 1e-9
_MOST_ROUNDS = 200
#: how much the entropy of a smoothed plan counts, on the scale of correlations, and steps at each
_SOFTNESS = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
_STEPS = 20
#: pairs whose gain is within this of the unit's best are those to begin with; twice as far where they allow no plan
_NEAR, _FAR = 5 * _SOFTNESS[-1], 0.1
#: copies of units and neuroids with which a plan is found as an assignment, which takes less time where they are few
_FEW_COPIES = 256
#: weights of the plan below this share of a neuroid's are rounding of the solver
_NO_WEIGHT = 1e-9


def one_to_one(scan: Scan, n_units: int, n_neuroids: int) -> Any:
    r"""A unit of its own for each neuroid, so that the sum of their correlations is largest: max Σ_j C_{π(j) j}.

    With fewer units than neuroids each unit has one neuroid, and the other neuroids have none.

    Parameters
    ----------
    scan
        Correlations C in blocks of units.

    Returns
    -------
    scipy.sparse matrix (n_units, n_neuroids) of 0 and 1.

    Notes
    -----
    A neuroid never needs another unit than one of its best ``n_neuroids``, because the others can take up no more than
    all of them but one. The problem on these pairs is solved exactly; memory is that of n_neuroids² pairs, whatever
    the number of units.

    Examples
    --------
    >>> c = np.array([[0.9, 0.8], [0.7, 0.1], [0.0, 0.2]])
    >>> one_to_one(lambda: iter([c]), 3, 2).toarray().tolist()
    [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    if n_units <= n_neuroids:
        units, neuroids = linear_sum_assignment(np.concatenate(list(scan())), maximize=True)
    else:
        values, places = _best_of_each(scan, n_neuroids)
        rows = np.repeat(np.arange(n_neuroids), values.shape[0])
        known, columns = np.unique(places.T.ravel(), return_inverse=True)
        # costs above 0, because a sparse matrix takes a 0 for a pair that is not there
        costs = csr_array((2.0 - values.T.ravel(), (rows, columns)), shape=(n_neuroids, len(known)))
        neuroids, found = min_weight_full_bipartite_matching(costs)
        units = known[found]
    return csr_array((np.ones(len(units)), (units, neuroids)), shape=(n_units, n_neuroids))


def _best_of_each(scan: Scan, n_best: int) -> tuple[Array, Array]:
    """The ``n_best`` largest correlations of every neuroid, and their units, both (n_best, n_neuroids)."""
    values, places, first = None, None, 0
    for block in scan():
        units = np.broadcast_to(np.arange(first, first + len(block))[:, None], block.shape)
        first += len(block)
        values = block if values is None else np.concatenate([values, block])
        places = units if places is None else np.concatenate([places, units])
        if len(values) > n_best:
            top = np.argpartition(values, len(values) - n_best, axis=0)[-n_best:]
            values, places = (np.take_along_axis(array, top, axis=0) for array in (values, places))
    assert values is not None
    assert places is not None
    return values, places


def transport(scan: Scan, n_units: int, n_neuroids: int) -> Any:
    r"""The plan that moves equal weights of the units to equal weights of the neuroids with most correlation.

    max_T Σ_ij T_ij C_ij with T ≥ 0, Σ_j T_ij = 1/n_units, Σ_i T_ij = 1/n_neuroids: the polytope of soft matching.

    Parameters
    ----------
    scan
        Correlations C in blocks of units.

    Returns
    -------
    scipy.sparse matrix (n_units, n_neuroids): n_neuroids T, so that the weights of each neuroid add up to 1.

    Raises
    ------
    DataError
        The programme was not solved.

    Notes
    -----
    A linear programme of few pairs is solved exactly; pairs that its prices show to be worth more are added until
    there is none, and then the plan is the best one of all pairs. Memory: some (n_units + n_neuroids) pairs, and a
    block. With as many units as neuroids it is an assignment.

    Examples
    --------
    >>> c = np.array([[0.9, 0.0], [0.8, 0.1], [0.1, 0.7]])
    >>> transport(lambda: iter([c]), 3, 2).toarray().round(3).tolist()
    [[0.667, 0.0], [0.333, 0.333], [0.0, 0.667]]
    """
    from scipy.sparse import csr_array

    shared = gcd(n_units, n_neuroids)
    if n_units * n_neuroids // shared <= _FEW_COPIES:
        return _by_copies(np.concatenate(list(scan())), n_neuroids // shared, n_units // shared)
    masses = np.full(n_units, n_neuroids // shared), np.full(n_neuroids, n_units // shared)
    pairs, values, plan = _first_plan(scan, *masses)
    for _ in range(_MOST_ROUNDS):
        further, worth = _worth_more(scan, plan.prices, n_neuroids)
        if not len(further):
            weights = plan.flow / masses[1][0]
            used = weights > _NO_WEIGHT
            return csr_array((weights[used], np.divmod(pairs[used], n_neuroids)), shape=(n_units, n_neuroids))
        pairs, first = np.unique(np.concatenate([pairs, further]), return_index=True)
        values = np.concatenate([values, worth])[first]
        plan = _solved(pairs, values, *masses)
        if plan is None:
            break
    raise _not_found(n_units, n_neuroids)


def _not_found(n_units: int, n_neuroids: int) -> DataError:
    return DataError(
        f"The linear programme that matches {n_units} units with {n_neuroids} neuroids was not solved. Take fewer "
        "units (a reduction such as spatial-mean), or the metric one-to-one."
    )


def _by_copies(values: Array, of_unit: int, of_neuroid: int) -> Any:
    """The plan as an assignment of so many copies of every unit to so many of every neuroid."""
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array

    copies = np.repeat(np.repeat(values, of_unit, axis=0), of_neuroid, axis=1)
    units, neuroids = linear_sum_assignment(copies, maximize=True)
    weights = np.full(len(units), 1.0 / of_neuroid)
    return coo_array((weights, (units // of_unit, neuroids // of_neuroid)), shape=values.shape).tocsr()


class _Plan(NamedTuple):
    """The best flow on some pairs, and prices of units and neuroids at which none of these pairs gains."""

    flow: Array
    prices: tuple[Array, Array]


def _first_plan(scan: Scan, supply: Array, demand: Array) -> tuple[Array, Array, _Plan]:
    """Pairs to begin with, as unit × n_neuroids + neuroid, their correlations, and the best plan on them.

    They are those that gain about as much as the best one of their unit, at the prices of a smoothed plan; where they
    allow no plan, also what gives units to neuroids in turn.
    """
    prices, near = _smooth_prices(scan, supply, demand), _NEAR
    while near <= 4 * _FAR:
        pairs, best = _near_the_best(scan, prices, near)
        if near > _FAR:
            in_turn = _in_turn(np.argsort(best, kind="stable"), supply, demand)
            pairs = np.union1d(pairs, in_turn)
        values = _values_of(scan, pairs, len(demand))
        plan = _solved(pairs, values, supply, demand)
        if plan is not None:
            return pairs, values, plan
        near *= 2
    raise _not_found(len(supply), len(demand))


def _near_the_best(scan: Scan, prices: Array, near: float) -> tuple[Array, Array]:
    """Pairs, sorted, whose gain is within ``near`` of the best of their unit; and the best neuroid of every unit."""
    pairs, best, first = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.intp)], 0
    for block in scan():
        gain = block - prices
        pairs.append(np.flatnonzero(gain >= gain.max(axis=1, keepdims=True) - near) + first * len(prices))
        best.append(gain.argmax(axis=1))
        first += len(block)
    return np.concatenate(pairs), np.concatenate(best)


def _smooth_prices(scan: Scan, supply: Array, demand: Array) -> Array:
    """Prices (n_neuroids,) near those of the best plan: of plans with an entropy that counts less and less.

    Sinkhorn's iteration (Cuturi 2013), of which the prices of the units are not kept. It only says where to look; what
    is found is judged by the linear programme.
    """
    prices = np.zeros(len(demand))
    for softness in _SOFTNESS:
        for _ in range(_STEPS):
            received, first = np.zeros(len(demand)), 0
            for block in scan():
                gain = (block - prices) / softness
                gain -= gain.max(axis=1, keepdims=True)
                np.exp(gain, out=gain)
                own = supply[first : first + len(block)]
                received += (own / gain.sum(axis=1)) @ gain
                first += len(block)
            prices += softness * np.log(np.maximum(received, 1e-12 * demand) / demand)
    return prices


def _in_turn(order: Array, supply: Array, demand: Array) -> Array:
    """Pairs of the plan that fills one neuroid after the other from the units in this order."""
    ends = np.unique(np.concatenate([np.cumsum(supply), np.cumsum(demand)]))
    starts = np.concatenate([[0], ends[:-1]])
    return order[starts // supply[0]] * len(demand) + starts // demand[0]


def _top(block: Array, n_best: int) -> Array:
    n_best = min(n_best, block.shape[1])
    return np.argpartition(block, block.shape[1] - n_best, axis=1)[:, -n_best:]


def _values_of(scan: Scan, pairs: Array, n_neuroids: int) -> Array:
    """Correlations of pairs that are sorted."""
    found, first = np.empty(len(pairs)), 0
    for block in scan():
        start, stop = np.searchsorted(pairs, [first * n_neuroids, (first + len(block)) * n_neuroids])
        found[start:stop] = block.ravel()[pairs[start:stop] - first * n_neuroids]
        first += len(block)
    return found


def _solved(pairs: Array, values: Array, supply: Array, demand: Array) -> _Plan | None:
    """The best plan on some pairs, by scipy's HiGHS; None where they allow none."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    units, neuroids = np.divmod(pairs, len(demand))
    rows = np.concatenate([units, len(supply) + neuroids])
    columns = np.tile(np.arange(len(pairs)), 2)
    sums = csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(supply) + len(demand), len(pairs)))
    found: Any = linprog(-values, A_eq=sums, b_eq=np.concatenate([supply, demand]), method="highs-ds")
    if found.status != 0:
        return None
    marginals = np.asarray(found.eqlin.marginals)
    return _Plan(np.asarray(found.x), (marginals[: len(supply)], marginals[len(supply) :]))


def _worth_more(scan: Scan, prices: tuple[Array, Array], n_neuroids: int) -> tuple[Array, Array]:
    """Pairs that gain at these prices, the best few of each unit, and their correlations."""
    pairs, values, first = [np.empty(0, dtype=np.int64)], [np.empty(0)], 0
    for block in scan():
        gain = block + prices[0][first : first + len(block), None] + prices[1]
        top = _top(gain, _PAIRS)
        found = (first + np.arange(len(block)))[:, None] * n_neuroids + top
        gains = np.take_along_axis(gain, top, axis=1) > _GAIN
        pairs.append(found[gains])
        values.append(np.take_along_axis(block, top, axis=1)[gains])
        first += len(block)
    return np.concatenate(pairs), np.concatenate(values)
