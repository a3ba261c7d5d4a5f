"""What can go wrong in a dialog; none of it is the caller's fault."""


class DialogError(Exception):
    """Base of the dialog's errors."""


class GrammarError(DialogError):
    """A grammar was built from something that JSGF cannot say: our fault, no use trying again."""


class SnapshotError(DialogError):
    """A stored dialog cannot be read (other version, damaged, too large): start a new one."""
