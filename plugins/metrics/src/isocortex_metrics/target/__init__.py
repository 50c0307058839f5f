"""The brain side: responses as a matrix with its participants, and how its stimuli are split."""
