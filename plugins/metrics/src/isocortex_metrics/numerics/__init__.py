"""Numbers alone, on numpy or torch: Gram matrices, ridge, correlation, ranks, threads; nothing knows of a brain."""
