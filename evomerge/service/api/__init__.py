"""The routes of the service, one module a subject; each has a ``router``."""
