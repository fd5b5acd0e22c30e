"""Everything of the Hugging Face Hub but pulling: the published forms of a model, its card, models and Spaces."""
