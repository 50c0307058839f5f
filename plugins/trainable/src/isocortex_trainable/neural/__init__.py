"""Networks that learn from the brain: images to firing rates, alone or beside the names of objects."""
