"""Which of the platform's services an agent uses, from its environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from callfleet_agent.app.earlier_calls import LIMIT_S
from callfleet_agent.app.errors import SettingsError

_SECONDS: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,6})?")
_ADDRESS: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAddresses:
    """HOST:PORT of each, empty for one that is not used; `journal`: where what is owed is kept;
    `earlier_call_s`: how long a call waits for what its caller may go on with."""

    session_manager: str = ""
    context_store: str = ""
    banking: str = ""
    journal: Path | None = None
    earlier_call_s: float = LIMIT_S

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ServiceAddresses":
        """As the pod's template says.

        Raises:
            SettingsError: a variable holds no address or time, or one is there without another
                that it needs: contexts and transactions belong to a session's record.
        """
        found = {
            name: _address(environment, f"CALLFLEET_{name.upper()}")
            for name in ("session_manager", "context_store", "banking")
        }
        for name in ("context_store", "banking"):
            if found[name] and not found["session_manager"]:
                raise SettingsError(
                    f"CALLFLEET_{name.upper()} needs CALLFLEET_SESSION_MANAGER as well"
                )
        journal = environment.get("CALLFLEET_JOURNAL", "").strip()
        return cls(
            **found,
            journal=Path(journal) if journal else None,
            earlier_call_s=_seconds(environment, "CALLFLEET_EARLIER_CALL_SECONDS", LIMIT_S),
        )


def _seconds(environment: Mapping[str, str], name: str, usual_s: float) -> float:
    value = environment.get(name, "").strip()
    if not value:
        return usual_s
    if not _SECONDS.fullmatch(value) or float(value) <= 0:
        raise SettingsError(f"{name}: {value!r} is no number of seconds above 0")
    return float(value)


def _address(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "").strip()
    if value and not _ADDRESS.fullmatch(value):
        raise SettingsError(f"{name}: {value!r} is no HOST:PORT")
    return value
