"""Errors that end a command with one clear message."""


class HackError(Exception):
    """Something that the person at the keyboard has to know or do; shown without a traceback."""


class CommandFailedError(HackError):
    """A program ended with a status other than 0."""

    def __init__(self, command: str, status: int, output: str) -> None:
        super().__init__(f"{command} ended with status {status}\n{output[-4000:].strip()}".rstrip())
        self.status = status
        self.output = output
