"""Measurements of speed, memory and statistics; README.md lists the commands."""
