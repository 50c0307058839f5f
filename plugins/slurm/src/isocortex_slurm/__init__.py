"""Runs on a cluster under Slurm: one array of jobs that extract, one that scores and waits for it."""
