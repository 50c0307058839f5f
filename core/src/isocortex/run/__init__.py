"""A run conducts: plan, cells, processes, dry runs, fetching."""
