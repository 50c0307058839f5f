"""Networks that hear through a cochleagram: Kell et al. (2018), CochCNN9 and CochResNet50."""
