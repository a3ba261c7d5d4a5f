"""For all tests: the agent's package first, because it says what gRPC reads when it is imported.

And no time limit for an example that hypothesis draws, nor for drawing it: how long that takes says
how busy the machine is, and nothing of the code.
"""

from hypothesis import HealthCheck, settings

import callfleet_agent  # noqa: F401

pytest_plugins = ["second_calls"]

settings.register_profile("callfleet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("callfleet")
