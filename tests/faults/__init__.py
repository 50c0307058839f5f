"""Campaigns of faults: scripts that count, and small seeded samples of them as tests of the gate."""
