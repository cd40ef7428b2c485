"""Using an adapter: answers one by one, a file of prompts, a talk."""
