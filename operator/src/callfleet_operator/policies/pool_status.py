"""The status of a ProviderPool."""

from callfleet_operator.model import Hosting, ProviderPoolSpec, ProviderPoolStatus
from callfleet_operator.model.providerpool import ModelProgress

from . import pool_managed
from .conditions import Finding, Truth, conditions
from .pool_judgement import Check, Judgement, fault, first
from .pool_view import Loading, PoolView, ProbeView, SecretView

USERS_SHOWN = 64


def _deleting(view: PoolView) -> Judgement | None:
    """In use it stays: whoever reads this knows whom to ask."""
    if not view.deleting or not view.users:
        return None
    names = ", ".join(view.users[:10]) + (", …" if len(view.users) > 10 else "")
    judged = first(CHECKS[1:], view) or _REACHABLE
    message = f"its deletion waits until no VoiceAgent names it in spec.providers: {names}"
    return Judgement("DeletionWaits", message, judged.ready, "True", judged.degraded)


def _embedded(view: PoolView) -> Judgement | None:
    if view.spec.hosting is not Hosting.EMBEDDED:
        return None
    return Judgement("Embedded", "this engine runs inside the agent's pods", "True")


def _managed(view: PoolView) -> Judgement | None:
    if view.spec.hosting is not Hosting.MANAGED:
        return None
    return pool_managed.judge(view)


def _secret_missing(view: PoolView) -> Judgement | None:
    reference = view.spec.external.secret_ref if view.spec.external is not None else None
    if reference is None:
        return None
    if view.secret is None:
        return Judgement("SecretNotRead", "its Secret was not read yet", "Unknown", "True")
    if not view.secret.found:
        message = (
            f"spec.external.secretRef names {reference.name}, and there is no Secret "
            f"{reference.name} in this namespace; create it"
        )
        return fault("SecretNotFound", message)
    if not view.secret.key_found:
        message = (
            f"Secret {reference.name} has no key {reference.key}; add it or set another key in "
            "spec.external.secretRef"
        )
        return fault("SecretKeyNotFound", message)
    return None


def _ca_missing(view: PoolView) -> Judgement | None:
    name = view.spec.external.ca_secret_name if view.spec.external is not None else None
    if name is None or (view.ca is not None and view.ca.key_found):
        return None
    message = (
        f"spec.external.caSecretName names {name}, and there is no such Secret with a key ca.crt; "
        "create it"
    )
    return fault("CANotFound", message)


def _not_probed(view: PoolView) -> Judgement | None:
    if view.probe is not None:
        return None
    return Judgement("NotProbed", "it was not tried yet", "Unknown", "True")


def _unreachable(view: PoolView) -> Judgement | None:
    if view.probe is None or view.probe.ok:
        return None
    return fault("Unreachable", view.probe.message or "it does not answer")


_REACHABLE = Judgement("Reachable", "it answers", "True")
CHECKS: tuple[Check, ...] = (
    _deleting,
    _embedded,
    _managed,
    _secret_missing,
    _ca_missing,
    _not_probed,
    _unreachable,
)


def pool_status(
    view: PoolView, previous: ProviderPoolStatus | None, now: str
) -> ProviderPoolStatus:
    """The whole status, computed anew. `now` is RFC 3339."""
    judged = first(CHECKS, view) or _REACHABLE
    cause = judged.beside or judged
    findings = (
        Finding("Ready", judged.ready, judged.reason, judged.message),
        Finding("Progressing", judged.progressing, cause.reason, cause.message),
        Finding("Degraded", judged.degraded, cause.reason, cause.message),
        Finding("ModelCached", *_model_cached(view)),
    )
    before = previous.conditions if previous is not None else ()
    figures = view.managed.figures
    return ProviderPoolStatus(
        observed_generation=view.generation,
        replicas=view.managed.replicas,
        ready_replicas=view.managed.ready,
        endpoint=_endpoint(view),
        selector=view.selector,
        engine_version=figures.engine_version[:64] if figures is not None else "",
        first_token_milliseconds=figures.first_result_ms if figures is not None else None,
        real_time_factor=figures.real_time_factor if figures is not None else None,
        model_progress=_progress(view),
        used_by=len(view.users),
        users=view.users[:USERS_SHOWN],
        conditions=conditions(findings, before, generation=view.generation, now=now),
    )


def _model_cached(view: PoolView) -> tuple[Truth, str, str]:
    if view.spec.hosting is Hosting.EMBEDDED:
        return "True", "Bundled", "its model is part of the agent's image"
    if view.spec.hosting is Hosting.EXTERNAL:
        return "True", "NotNeeded", "its model is where its server is"
    return pool_managed.model_cached(view)


def _progress(view: PoolView) -> ModelProgress | None:
    """While a loader runs."""
    progress = view.managed.progress
    running = any(pod.loading is Loading.RUNNING for pod in view.managed.alive)
    if progress is None or not running:
        return None
    return ModelProgress(bytes=progress.done, total_bytes=progress.total, percent=progress.percent)


def _endpoint(view: PoolView) -> str:
    """Without what follows a question mark: some services take keys there."""
    spec: ProviderPoolSpec = view.spec
    if spec.external is not None:
        return spec.external.base_url.partition("?")[0]
    return view.managed.endpoint


__all__ = ["PoolView", "ProbeView", "SecretView", "pool_status"]
