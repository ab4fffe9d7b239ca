"""Read tables out of results."""

from celltraj.get._response_summary import response_summary

__all__ = ["response_summary"]
