"""Metrics exactly as Brain-Score publishes them, and what only they need."""
