"""One BLAS thread for small matrices."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

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
