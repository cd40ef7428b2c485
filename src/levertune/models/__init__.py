"""Model names to weights, chat templates, the one renderer, adapters."""
