"""Where calls are kept: PostgreSQL is the truth, Redis the fast copy, and neither is seen outside.

Repositories implement the protocols of `session`, `context` and `banking`. What belongs to a
customer is sealed before it leaves the process, for both stores.
"""
