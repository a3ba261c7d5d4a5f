"""What can go wrong inside the core."""

from callfleet_operator.ports.errors import KubeError, PortError


class ChildrenError(PortError):
    """Some children could not be applied. The others were; the round is tried again."""

    def __init__(self, failures: dict[str, KubeError]) -> None:
        self.failures = failures
        super().__init__("; ".join(f"{name}: {error}" for name, error in failures.items()))


class UnreadableError(PortError):
    """An object that the API server accepted does not fit our model of its kind.

    Its CRD is newer than this operator: nothing of it is changed until the operator is upgraded.
    """

    retry = False


class RowsHeldError(PortError):
    """Rows would be lost for no reason that was seen, and what they were is not known either.

    Nothing is written to the proxy until the list of pods is confirmed.
    """
