"""Training throughput of levertune and of other trainers on the same work."""
