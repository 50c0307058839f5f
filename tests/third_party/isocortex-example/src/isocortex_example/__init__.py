"""An example of a plugin package for isocortex; everything it offers is named in isocortex.toml."""
