"""Names in the dialplan table that this package, the proxies' scripts and the tests share. Pure.

A number is a row of dialplan `DIALPLAN`. One row of dialplan `REVISION_PLAN` counts the changes of
the numbers, so that one translation by remote command shows whether an instance has the last.
"""

DIALPLAN = 5060
REVISION_PLAN = 5061
REVISION_KEY = "callfleet"


def revision_of(answer: object, attribute: str) -> int:
    """The revision in the answer to a translation; 0, the first, when it has none."""
    text = answer.get(attribute) if isinstance(answer, dict) else None
    name, _, number = str(text or "").partition("=")
    return int(number) if name == "revision" and number.isdecimal() else 0
