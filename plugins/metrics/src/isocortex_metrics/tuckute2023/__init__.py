"""The analyses of Tuckute et al. 2023 exactly as published, and what only they need."""
