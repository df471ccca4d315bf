"""Jobs: what the service was asked to do, and the processes that do it."""
