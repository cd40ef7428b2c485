"""Using an adapter with its anchor applied: generate and chat."""
