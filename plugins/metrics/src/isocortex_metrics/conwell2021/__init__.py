"""The regression of Conwell et al. 2021 exactly as published, and what only it needs."""
