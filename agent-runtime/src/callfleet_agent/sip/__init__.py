"""SIP without I/O: messages, transactions, dialogs, session descriptions, and the user agent.

Owns what RFC 3261, 3264, 3311, 3325, 3581, 4028, 6026 and 8866 ask of a telephone. Bytes and the
time come in as arguments, randomness as an object; ``callfleet_agent.transport.sip_endpoint`` gives
it sockets and a clock.
"""
