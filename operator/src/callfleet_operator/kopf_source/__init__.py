"""Hints from kopf: it watches our two kinds and names the keys that changed, and does nothing else.

kopf ends its loop, and all that runs in it, on a 403 of a list or an error event of a watch: hence
a thread and a loop of its own, started again with a growing delay whenever it exits. Nothing
depends on it for being right: the reflectors see every change as well.
"""
