"""Threads: one of BLAS for small matrices, and independent pieces of work side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")

#: matrices of a smaller order are worked on by one thread
SMALL = 512


def few_threads(order: int) -> AbstractContextManager[Any]:
    """A context in which BLAS and LAPACK use one thread where matrices are small.

    Threads that wait for each other spin; on a busy machine that makes products of small matrices many times slower.

    Parameters
    ----------
    order
        Of the matrices, about.

    Examples
    --------
    >>> with few_threads(100):
    ...     pass
    """
    return _controller().limit(limits=1, user_api="blas") if order < SMALL else nullcontext()


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def blas_threads() -> int:
    """How many threads BLAS may use now: what ``OMP_NUM_THREADS`` and the like say, or the cores there are.

    Examples
    --------
    >>> blas_threads() >= 1
    True
    """
    from threadpoolctl import threadpool_info

    return max((int(pool["num_threads"]) for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)


def in_threads(
    function: Callable[[_Item], _Found], items: Sequence[_Item], *, n_threads: int | None = None
) -> list[_Found]:
    """Call a function on every item, in as many threads as BLAS may use, and return what it gives in order.

    Products of small matrices do not gain from several BLAS threads, but several splits at a time do. While it works,
    BLAS uses one thread in all of the process.

    Parameters
    ----------
    function
        Spends its time in numpy, which lets other threads run.
    items
        One call each.
    n_threads
        Default: ``blas_threads()``, at most one per item.

    Examples
    --------
    >>> in_threads(abs, [-1, 2, -3], n_threads=2)
    [1, 2, 3]
    """
    n_threads = min(len(items), blas_threads() if n_threads is None else n_threads)
    # the only limit that matters: those that threads set inside it find one thread and leave one thread
    with few_threads(0):
        if n_threads <= 1:
            return [function(item) for item in items]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(n_threads) as pool:
            return list(pool.map(function, items))
