"""Baselines for isocortex: models of sound and sight without weights, and two controls.

The functions in the modules work on plain arrays; `isocortex_baselines.models` makes plugins of them.
"""
