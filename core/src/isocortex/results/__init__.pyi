from .result import (
    LayerValue as LayerValue,
    Result as Result,
    Stage as Stage,
    Summary as Summary,
    read_results as read_results,
)
from .tables import print_table as print_table
