"""How well the best model could do: reliability over repetitions, split halves, other participants."""
