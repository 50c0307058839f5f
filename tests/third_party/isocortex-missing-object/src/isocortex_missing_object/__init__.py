"""A plugin whose manifest names a class that does not exist, and a module that does not exist."""
