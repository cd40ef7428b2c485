"""The on-disk contract of a run, and its provenance."""
