"""Which keys the Secret of a model's source must have: those that the loader reads."""

from collections.abc import Collection

# One of the groups is enough.
_GROUPS: dict[str, tuple[tuple[str, ...], ...]] = {
    "hf": (("token",),),
    "https": (("token",),),
    "oci": (("token",), ("username", "password"), (".dockerconfigjson",)),
    "s3": (("accessKeyId", "secretAccessKey"),),
}
# A bucket that everybody may read needs no keys, but perhaps to be found.
_WHERE = {"s3": ("endpoint", "region")}


def missing_keys(scheme: str, keys: Collection[str]) -> str:
    """The keys that a Secret with `keys` lacks, for a person; empty when it has what it needs."""
    groups = _GROUPS.get(scheme, ())
    if not groups or any(set(group) <= set(keys) for group in groups):
        return ""
    for group in groups:
        lacking = [name for name in group if name not in keys]
        if len(lacking) < len(group):
            return " and ".join(lacking)
    if any(name in keys for name in _WHERE.get(scheme, ())):
        return ""
    return ", or ".join(" and ".join(group) for group in groups)
