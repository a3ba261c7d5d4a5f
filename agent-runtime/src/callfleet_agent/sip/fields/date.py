"""Date (RFC 3261 section 20.17): the one form of RFC 1123, always GMT."""

import re

from callfleet_agent.sip.errors import RemoteProtocolError

_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} "
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d{2}:\d{2}:\d{2} GMT",
)


def check_date(text: str) -> None:
    """RemoteProtocolError unless ``text`` is a SIP date; its value is of no use to us."""
    if not _DATE.fullmatch(text.strip()):
        raise RemoteProtocolError("Malformed Date")
