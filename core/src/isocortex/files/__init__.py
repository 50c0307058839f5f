"""Bytes that must be right: atomic writes, locks, digests, checksums, archives, and the files of plugins."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
