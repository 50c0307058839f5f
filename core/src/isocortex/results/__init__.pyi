from .csv_texts import csv_frame as csv_frame, csv_text as csv_text
from .findings import findings_of as findings_of, write_finding as write_finding
from .frames import layers_frame as layers_frame, row_name as row_name, rows_frame as rows_frame, seed_sets as seed_sets
from .others import others_frame as others_frame, others_path as others_path, write_others as write_others
from .records import (
    cell_folder as cell_folder,
    open_scores as open_scores,
    record_path as record_path,
    write_record as write_record,
)
from .result import Result as Result, Results as Results, read_results as read_results
from .selection import Selection as Selection, selected_results as selected_results, selected_rows as selected_rows
from .tables import latex_tables as latex_tables, print_table as print_table, tally as tally
