"""From a run file to what a run needs, checked against this machine before anything is spent."""
