"""Every request as a pydantic model: nothing gets further that is not well formed and bounded."""

from callfleet_agent.services.inputs.reading import read, reader_of, unreadable

__all__ = ["read", "reader_of", "unreadable"]
