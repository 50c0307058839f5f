"""Independent pieces of work in threads, each with one BLAS thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from isocortex_metrics.numerics.threads import few_threads

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


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
