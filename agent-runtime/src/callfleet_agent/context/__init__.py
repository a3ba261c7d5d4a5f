"""What a worker hands over after each turn, so that another one can go on with the call.

The connector and the stores see opaque bytes. Inside is JSON: a version, what kind of dialog it is,
the dialog's own snapshot, and the recogniser's channel mean. Secrets are never in it.

Beside it stands the memory that is stored after every turn: what was said, what is wanted, what is
known of the customer, with its commands and queries.
"""

from callfleet_agent.context.envelope import (
    MAX_BYTES,
    ContextError,
    Envelope,
    opened,
    sealed,
)

__all__ = ["MAX_BYTES", "ContextError", "Envelope", "opened", "sealed"]
