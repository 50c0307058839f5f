from .result import Result as Result, read_results as read_results
from .tables import print_table as print_table, tally as tally
