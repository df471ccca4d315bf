"""Reports of finished runs as single files that a browser opens without any service."""

from evomerge.service.reports.write import write_report

__all__ = ["write_report"]
