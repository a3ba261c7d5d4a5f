"""The operator's core: queue, reconcilers, dispatcher sync. No kopf, no client, no clock of its
own.
"""
