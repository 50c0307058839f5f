"""NVIDIA's speech recognisers from NeMo, as models of hearing."""
