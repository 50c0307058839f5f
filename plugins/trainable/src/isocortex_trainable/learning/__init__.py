"""How networks of this package learn, whatever they learn: epochs, orders of batches, optimisers, learning rates."""
