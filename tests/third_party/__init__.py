"""Small third-party packages, good and broken, that the tests install."""
