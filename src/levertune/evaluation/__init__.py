"""Likelihood and generation: what a model makes of rows."""
