"""For all tests: the agent's package first, because it says what gRPC reads when it is imported."""

import callfleet_agent  # noqa: F401
