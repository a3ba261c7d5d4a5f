"""What must be found nowhere, looked for in every form in which it could be written."""

import base64
import re
import urllib.parse
from typing import Final

# What was found in this process: a secret that was written once is one too many.
FOUND: Final[list[str]] = []
_UUID: Final = re.compile(
    r"(?<![0-9a-f-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f-])", re.IGNORECASE
)


def forms(secret: str) -> set[str]:
    """The secret as it could be written somewhere."""
    raw = secret.encode()
    return {
        secret, secret.replace(" ", ""), " ".join(secret), urllib.parse.quote(secret),
        base64.b64encode(raw).decode().rstrip("="), raw.hex(), secret[::-1],
        secret.replace("-", ""),
    }  # fmt: skip


def leaks(text: str, secrets: dict[str, str]) -> list[str]:
    """Which secrets are in the text, and around what. Few digits are no secret inside a UUID or a
    longer run of letters and digits: ids and moments hold any four of them."""
    found = []
    for name, secret in secrets.items():
        for form in forms(secret):
            searched, pattern = text, re.escape(form)
            if form.isdigit() and len(form) < 8:
                searched = _UUID.sub("(a UUID)", text)
                pattern = rf"(?<![0-9A-Za-z.]){pattern}(?![0-9A-Za-z.])"
            found += [
                f"{name}: …{searched[max(0, hit.start() - 60) : hit.end() + 20]}…"
                for hit in re.finditer(pattern, searched, re.IGNORECASE)
            ]
    FOUND.extend(found)
    return found
