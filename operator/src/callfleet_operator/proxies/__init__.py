"""The dispatcher: keeps a SIP proxy's tables and instances equal to what the core wants.

Owns: the proxy's database (migrations, claims of set ids and numbers, rows), the remote commands of
Kamailio and OpenSIPS, and the verdict of what every instance of a proxy holds. It decides nothing
about pods: rows and their states come from the core through `ports.proxy`.

`open_proxy` makes a driver from the operator's settings, `migrate` makes the tables.
"""

from .migrations import grants, migrate
from .opening import open_proxy

__all__ = ["grants", "migrate", "open_proxy"]
