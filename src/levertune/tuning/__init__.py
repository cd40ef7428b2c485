"""Settings chosen by measurement, inside the task's own training rows."""
