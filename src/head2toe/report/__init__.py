"""What people look at: one HTML file."""

from head2toe.report.html import write_report

__all__ = ["write_report"]
