"""The anchor: what it is, how it is found, how it is applied."""
