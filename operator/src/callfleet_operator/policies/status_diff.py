"""Whether a status is worth a write, and because of which field."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from .views import Verdict

CALLS_EVERY_S = 15.0
SLOW_FIELDS = ("calls",)


@dataclass(frozen=True)
class WriteVerdict(Verdict):
    """`reason` is the first field that differs; `again_after_s`: when a held write falls due."""

    write: bool = False
    again_after_s: float | None = None


def first_difference(old: BaseModel | None, new: BaseModel) -> str | None:
    """The dotted path of the first field that differs; None when all are equal."""
    former = {} if old is None else old.model_dump(mode="json", by_alias=True, exclude_none=True)
    return _difference(
        former, new.model_dump(mode="json", by_alias=True, exclude_none=True), "status"
    )


def _difference(old: Any, new: Any, path: str) -> str | None:
    if old == new:
        return None
    if isinstance(old, dict) and isinstance(new, dict):
        names = [*new, *(name for name in old if name not in new)]
        name = next(name for name in names if old.get(name) != new.get(name))
        return _difference(old.get(name), new.get(name), f"{path}.{name}")
    if isinstance(old, list) and isinstance(new, list):
        for place, (former, latter) in enumerate(zip(old, new, strict=False)):
            if former != latter:
                return _difference(former, latter, f"{path}[{place}]")
    return path


def should_write(
    old: BaseModel | None, new: BaseModel, *, calls_written_at: float | None, now: float
) -> WriteVerdict:
    """At once for everything but the calls, which are written at most every 15 s."""
    field = first_difference(old, new)
    if field is None:
        return WriteVerdict("", "nothing differs")
    if old is None or calls_written_at is None:
        return WriteVerdict(field, f"{field} differs", write=True)
    slow = {name: getattr(old, name) for name in SLOW_FIELDS}
    other = first_difference(old, new.model_copy(update=slow))
    if other is not None:
        return WriteVerdict(other, f"{other} differs", write=True)
    left = calls_written_at + CALLS_EVERY_S - now
    if left > 0:
        return WriteVerdict(field, f"{field} differs, and is written later", again_after_s=left)
    return WriteVerdict(field, f"{field} differs", write=True)
