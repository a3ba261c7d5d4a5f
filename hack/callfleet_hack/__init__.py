"""What brings up a place to run Callfleet in: tools, packages, clusters and images.

Standard library only, for it has to run before any virtual environment exists.
"""
