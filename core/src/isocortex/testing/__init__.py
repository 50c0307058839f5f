"""The conformance kit for authors of plugins.

The tests of a plugin package hold three lines::

    from isocortex.testing import conformance

    test_conformance = conformance("isocortex_baselines")

and ``isocortex check isocortex-baselines`` does the same on the command line. ``check_model`` and ``check_metric`` also
take objects, so that something can be checked before it is packaged.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
