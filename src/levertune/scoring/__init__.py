"""Parsing, metrics and intervals: text and numbers only."""
