"""A module that raises at import, as one does whose compiled extension was built for another machine."""

raise OSError("libcochlea.so.3: cannot open shared object file")
