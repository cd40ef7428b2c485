"""Tasks made by rule, each with the instruction that states it: what a generator learns from."""
