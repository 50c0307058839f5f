from .score import tally as tally
