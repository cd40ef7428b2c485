"""The pool: anchors shared as one small YAML file each."""
