"""What many results say together: tables of stages over models and regions, and of the dimensionality of layers."""
