"""What a model can do: scores, robustness, figures."""
