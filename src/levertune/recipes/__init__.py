"""The recipe: the whole configuration of a run, typed."""
