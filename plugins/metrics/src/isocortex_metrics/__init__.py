"""Metrics that compare model activations with brains: ridge regression and RSA."""
