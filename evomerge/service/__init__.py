"""The service: searches as jobs that a team submits, watches and relies on, over HTTP."""
