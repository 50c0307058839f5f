from .records import (
    cell_folder as cell_folder,
    open_scores as open_scores,
    record_path as record_path,
    write_record as write_record,
)
from .result import Result as Result, read_results as read_results
from .tables import print_table as print_table, tally as tally
