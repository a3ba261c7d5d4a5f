"""The status of a ProviderPool."""

from collections.abc import Callable
from dataclasses import dataclass

from callfleet_operator.model import Hosting, ProviderPoolSpec, ProviderPoolStatus

from .conditions import Finding, Truth, conditions


@dataclass(frozen=True)
class SecretView:
    """Whether the Secret that a pool names is there, and has the key."""

    found: bool
    key_found: bool = False


@dataclass(frozen=True)
class ProbeView:
    """Whether an external engine answered. `message` quotes no answer and no key."""

    ok: bool
    message: str = ""


@dataclass(frozen=True)
class PoolView:
    """All that was observed of a pool. `probe` is None before the first one."""

    generation: int
    spec: ProviderPoolSpec
    secret: SecretView | None = None
    probe: ProbeView | None = None
    used_by: int = 0


@dataclass(frozen=True)
class _Judgement:
    """All conditions of a pool at once: they follow from one cause."""

    reason: str
    message: str
    ready: Truth
    progressing: Truth = "False"
    degraded: Truth = "False"


Check = Callable[[PoolView], _Judgement | None]


def _embedded(view: PoolView) -> _Judgement | None:
    if view.spec.hosting is not Hosting.EMBEDDED:
        return None
    return _Judgement("Embedded", "this engine runs inside the agent's pods", "True")


def _managed(view: PoolView) -> _Judgement | None:
    if view.spec.hosting is not Hosting.MANAGED:
        return None
    message = (
        "this version does not run inference servers yet; run the server yourself and give its "
        "address in spec.external.baseUrl"
    )
    return _Judgement("EngineNotManaged", message, "False")


def _secret_missing(view: PoolView) -> _Judgement | None:
    reference = view.spec.external.secret_ref if view.spec.external is not None else None
    if reference is None:
        return None
    if view.secret is None:
        return _Judgement("SecretNotRead", "its Secret was not read yet", "Unknown", "True")
    if not view.secret.found:
        message = f"there is no Secret {reference.name} in this namespace; create it"
        return _Judgement("SecretNotFound", message, "False", degraded="True")
    if not view.secret.key_found:
        message = f"Secret {reference.name} has no key {reference.key}; add it or set another key"
        return _Judgement("SecretKeyNotFound", message, "False", degraded="True")
    return None


def _not_probed(view: PoolView) -> _Judgement | None:
    if view.probe is not None:
        return None
    return _Judgement("NotProbed", "it was not tried yet", "Unknown", "True")


def _unreachable(view: PoolView) -> _Judgement | None:
    if view.probe is None or view.probe.ok:
        return None
    message = view.probe.message or "it does not answer"
    return _Judgement("Unreachable", message, "False", degraded="True")


_REACHABLE = _Judgement("Reachable", "it answers", "True")
CHECKS: tuple[Check, ...] = (
    _embedded,
    _managed,
    _secret_missing,
    _not_probed,
    _unreachable,
)

_MODEL_CACHED: dict[Hosting, tuple[Truth, str, str]] = {
    Hosting.EMBEDDED: ("True", "Bundled", "its model is part of the agent's image"),
    Hosting.EXTERNAL: ("True", "NotNeeded", "its model is where its server is"),
    Hosting.MANAGED: ("False", "EngineNotManaged", "models are not fetched in this version"),
}


def pool_status(
    view: PoolView, previous: ProviderPoolStatus | None, now: str
) -> ProviderPoolStatus:
    """The whole status, computed anew. `now` is RFC 3339."""
    judged = next((found for check in CHECKS if (found := check(view)) is not None), _REACHABLE)
    told = (judged.reason, judged.message)
    findings = (
        Finding("Ready", judged.ready, *told),
        Finding("Progressing", judged.progressing, *told),
        Finding("Degraded", judged.degraded, *told),
        Finding("ModelCached", *_MODEL_CACHED[view.spec.hosting]),
    )
    before = previous.conditions if previous is not None else ()
    return ProviderPoolStatus(
        observed_generation=view.generation,
        endpoint=_endpoint(view.spec),
        used_by=view.used_by,
        conditions=conditions(findings, before, generation=view.generation, now=now),
    )


def _endpoint(spec: ProviderPoolSpec) -> str:
    """Without what follows a question mark: some services take keys there."""
    return spec.external.base_url.partition("?")[0] if spec.external is not None else ""
