"""Are stimuli that are alike for the model alike for the brain? RSA, CKA, Procrustes, and RDMs behind them."""
