"""What is wrong with a manifest or a settings file, in words for the person who wrote it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldProblem:
    """One bad field: where it is, what was found there, and what to do.

    `found` tells the kind of the value and never the value itself: a manifest may carry,
    by mistake, what must not reach a log.
    """

    path: str
    found: str
    advice: str

    def __str__(self) -> str:
        return f"{self.path}: {self.advice} (found: {self.found})"


class ManifestError(ValueError):
    """A manifest or a settings file was refused: its author's fault, and a retry is useless."""

    def __init__(self, source: str, problems: tuple[FieldProblem, ...]) -> None:
        self.source = source
        self.problems = problems
        super().__init__("\n".join([f"{source} was refused:", *(f"  {p}" for p in problems)]))
