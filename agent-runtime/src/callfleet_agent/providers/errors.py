"""What goes wrong at providers. No text of a caller, of an answer or of a key is in an error."""

from callfleet_agent.chain import Fault


class EngineError(Exception):
    """An engine failed; the call goes on as well as it can."""


class ProviderError(EngineError):
    """One provider gave no whole answer. `retry_after_s`: when it asked to be asked again."""

    def __init__(self, fault: Fault, retry_after_s: float | None = None) -> None:
        super().__init__(fault.value)
        self.fault = fault
        self.retry_after_s = retry_after_s


class ExhaustedError(EngineError):
    """Nobody in a chain gave a whole answer; `fault` is the last reason."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"no provider answered: {fault.value}")
        self.fault = fault


class TranscriberError(EngineError):
    """Recognition failed: as if nothing had been understood."""


class SynthesiserError(EngineError):
    """A sentence could not be spoken."""


class ResponderError(EngineError):
    """No model answered."""
