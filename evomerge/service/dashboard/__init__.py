"""The dashboard: pages in the browser, on the service's application."""
