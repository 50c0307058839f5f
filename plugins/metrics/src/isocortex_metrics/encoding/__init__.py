"""Can the responses to new stimuli be predicted? Ridge in its forms, unique variance, identity."""
