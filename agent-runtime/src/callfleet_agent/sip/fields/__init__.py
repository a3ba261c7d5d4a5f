"""Header fields: a frozen value for each family, with ``parse`` and ``__str__``."""
