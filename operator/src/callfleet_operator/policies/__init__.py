"""Decisions about a fleet, as pure functions of what was observed.

This package owns how many pods there are and which of them leave, the rows that the SIP proxy
should have, the verdict on a pod's readiness gate, the steps of a drain, and the status that people
read. Nothing here reads a clock or talks to anybody: times are seconds that come in as `now`, and
whoever calls carries the decision out.
"""
