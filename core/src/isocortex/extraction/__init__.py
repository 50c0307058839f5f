"""Running a model once: stimuli in batches, activations in chunks, from the cache where they are there."""
