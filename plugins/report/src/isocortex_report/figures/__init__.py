"""Figures of results: each answers one question, and what it draws is a table of numbers (``Figure.frame``)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
