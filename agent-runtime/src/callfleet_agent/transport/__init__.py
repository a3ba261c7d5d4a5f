"""The edge of the agent: asyncio adapters of the sans-IO protocols."""
