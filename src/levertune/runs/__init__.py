"""Arms, seeds and folds of one recipe, composed and run."""
