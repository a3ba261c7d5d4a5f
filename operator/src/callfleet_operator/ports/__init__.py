"""The small protocols through which the core sees clock, cluster, proxy and pods.

Owns no behaviour: names, value types and errors only. What implements them is chosen in `main`, and
by tests and simulators.
"""
