"""Which general rows a mixture takes: drawn, or chosen by their relevance to the task rows."""
