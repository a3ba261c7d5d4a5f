"""Errors inside this package; what leaves it is in ports.proxy."""


class RpcError(Exception):
    """An instance is away, did not answer in time, or refused a command.

    The text names the command and the reason, never an address or a number. `refused`: it answered.
    """

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused
