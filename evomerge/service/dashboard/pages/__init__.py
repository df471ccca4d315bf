"""Pages of the dashboard; each module is one page."""
