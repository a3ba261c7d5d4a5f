"""Which arguments a kind of transaction takes: an allow-list, checked before the bank is asked."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from callfleet_agent.banking.errors import ParametersError
from callfleet_agent.banking.record import TransactionKind

_CARD: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REASON: Final = re.compile(r"lost|stolen|damaged|other")

ALLOWED: Final = MappingProxyType(
    {
        TransactionKind.CARD_INQUIRY: {"cardId": _CARD},
        TransactionKind.BALANCE_CHECK: {"accountId": _CARD},
        TransactionKind.CARD_BLOCK: {"cardId": _CARD, "reason": _REASON},
        TransactionKind.CARD_REPLACEMENT: {"cardId": _CARD, "reason": _REASON},
    }
)


def checked(kind: TransactionKind, given: Mapping[str, Any]) -> dict[str, str]:
    """The arguments, all of them known and well formed.

    Raises:
        ParametersError: one is not.
    """
    allowed = ALLOWED[kind]
    arguments: dict[str, str] = {}
    for name, value in given.items():
        pattern = allowed.get(name)
        if pattern is None:
            raise ParametersError("*", "an argument that this kind of transaction does not take")
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ParametersError(name, "not well formed")
        arguments[name] = value
    return arguments
