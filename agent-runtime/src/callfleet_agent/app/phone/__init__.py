"""The softphone: a caller for people and for tests, with the measurements of a call."""
