"""The operator's process: settings in, signals, logs, HTTP, and who is wired to whom."""

from callfleet_operator.main.command import main

__all__ = ["main"]
