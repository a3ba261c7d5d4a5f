"""The agent put together: connector, supervision of workers, the `callfleet` command, a phone."""
