"""Types that many modules name."""

from __future__ import annotations

from typing import Any

import numpy as np

#: an array of numpy, or of another library with its interface where the function says so
Array = np.ndarray[Any, Any]
