"""The mixture: the exact training order, its statistics and its manifest."""
