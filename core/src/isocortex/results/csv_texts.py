"""Texts in CSV: what a spreadsheet would take for a formula begins with an apostrophe, and is shown, not computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

#: how a formula begins; a spreadsheet passes over white space before it
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
#: kinds of numbers and truths
_NUMBERS = "fiub"


def csv_text(value: Any) -> Any:
    """A text that no spreadsheet takes for a formula; other values as they are.

    Examples
    --------
    >>> csv_text("=1+1"), csv_text(" =1+1"), csv_text("V1"), csv_text(-0.5)
    ("'=1+1", "' =1+1", 'V1', -0.5)
    """
    if not isinstance(value, str):
        return value
    return f"'{value}" if value.startswith(_FORMULA) or value.lstrip().startswith(_FORMULA) else value


def csv_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """A table of which texts and names of columns are as ``csv_text`` has them; numbers keep every digit.

    Examples
    --------
    >>> import pandas as pd
    >>> csv_frame(pd.DataFrame({"@name": ["=1", "V1"], "value": [-1.0, 1.0]})).to_csv(index=False).split()
    ["'@name,value", "'=1,-1.0", 'V1,1.0']
    """
    texts = {name: frame[name].map(csv_text) for name in frame if frame[name].dtype.kind not in _NUMBERS}
    return frame.assign(**{str(name): values for name, values in texts.items()}).rename(columns=csv_text)
