"""Would we know? Brains made of a known layer of each candidate, and which candidate scoring takes them for."""
