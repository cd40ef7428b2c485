"""General rows the base model writes itself: requests, answers, and rules on which to keep."""
