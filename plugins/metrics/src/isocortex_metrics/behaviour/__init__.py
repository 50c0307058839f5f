"""The same choices? Accuracy and error consistency, and what reads choices out of activations."""
