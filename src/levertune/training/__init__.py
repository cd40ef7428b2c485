"""Tokenized rows to an adapter; the only place that knows TRL."""
