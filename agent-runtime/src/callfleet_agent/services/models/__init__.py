"""Models brought into a cache: from a hub, a bucket, a registry or a web server, checked, once.

Several pods may share the cache: one brings the model, the others wait for it. What is there under
its final name is whole and was checked.
"""
