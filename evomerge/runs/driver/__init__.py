"""What drives a run: asks, hands out, commits and tells, and outlives whatever dies."""
