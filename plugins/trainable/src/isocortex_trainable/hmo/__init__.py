"""Hierarchical modular optimisation: stacks of fixed random filters, of which a search chooses the settings alone."""
