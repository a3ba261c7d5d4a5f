"""The one place that imports audioop: the standard library's to 3.12, audioop-lts from 3.13."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

lin2ulaw = audioop.lin2ulaw
ulaw2lin = audioop.ulaw2lin
lin2alaw = audioop.lin2alaw
alaw2lin = audioop.alaw2lin
rms = audioop.rms

__all__ = ["alaw2lin", "lin2alaw", "lin2ulaw", "rms", "ulaw2lin"]
