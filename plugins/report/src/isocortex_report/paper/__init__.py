"""For the paper: what was done in words, whom to cite, and the numbers as tables."""
