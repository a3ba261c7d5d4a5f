"""The conditions of a VoiceAgent: ordered checks, and the first with something to say wins."""

from collections.abc import Callable

from .agent_view import AgentView, PoolLink
from .conditions import Finding, Truth

Answer = tuple[Truth, str, str] | None
Check = Callable[[AgentView], Answer]


def agent_findings(view: AgentView) -> tuple[Finding, ...]:
    """Every condition, judged anew."""
    return tuple(
        Finding(name, *next(answer for check in checks if (answer := check(view)) is not None))
        for name, checks in CONDITIONS.items()
    )


def _otherwise(reason: str, message: str, status: Truth = "True") -> Check:
    """What holds when no check before had anything to say."""
    return lambda _: (status, reason, message)


# --- shared ------------------------------------------------------------------------------------


def _deleting(view: AgentView) -> Answer:
    if not view.deleting:
        return None
    return "False", "Deleting", f"is being deleted; {len(view.leaving)} pods wait for their calls"


def _proxy_not_found(view: AgentView) -> Answer:
    if view.proxy_known:
        return None
    message = (
        "spec.sip.proxy names no proxy of the operator's settings; create another VoiceAgent with "
        "the name of one, or add the proxy to the settings"
    )
    return "False", "ProxyNotFound", message


def _bank_not_found(view: AgentView) -> Answer:
    if view.bank_known:
        return None
    message = (
        "spec.banking.url names no bank, and this installation has no banking service; give a URL, "
        "or switch the platform's services on"
    )
    return "False", "BankNotFound", message


def _own_bank_refused(view: AgentView) -> Answer:
    if not view.own_bank_refused:
        return None
    message = (
        "spec.banking.url names a bank that the pods ask by themselves, past the audit log, and "
        "this installation refuses that: no pod takes calls; remove spec.banking, and the "
        "platform's banking service asks the bank it knows (platform.bank of the chart), or have "
        "platform.ownBanks: allow"
    )
    return "False", "OwnBankRefused", message


def _bank_secret_missing(view: AgentView) -> Answer:
    """Pods that run have theirs; others wait for it."""
    if not view.bank_secret or len(view.ready_as_wanted) >= view.wanted:
        return None
    return "False", "BankSecretNotFound", view.bank_secret


def _apply_failed(view: AgentView) -> Answer:
    return ("False", "ApplyFailed", view.apply_error) if view.apply_error else None


# --- NumbersAccepted -------------------------------------------------------------------------


def _no_numbers(view: AgentView) -> Answer:
    if view.numbers:
        return None
    return "True", "NoNumbers", "no number leads to this agent; add some to spec.sip.numbers"


def _numbers_refused(view: AgentView) -> Answer:
    """Numbers are named by their place: a message is read in more places than a manifest."""
    refused = [
        (place, number)
        for place, number in enumerate(view.numbers)
        if number in view.dispatcher.refused
    ]
    if not refused:
        return None
    told = []
    for place, number in refused[:5]:
        owner = view.dispatcher.owners.get(number, "")
        told.append(f"spec.sip.numbers[{place}]" + (f" belongs to {owner}" if owner else ""))
    if len(refused) > len(told):
        told.append(f"{len(refused) - len(told)} more")
    reason = view.dispatcher.refused[refused[0][1]]
    advice = "remove them here or there, or ask for the right to claim them"
    return "False", reason, f"not accepted: {', '.join(told)}; {advice}"


def _numbers_pending(view: AgentView) -> Answer:
    missing = [number for number in view.numbers if number not in view.dispatcher.accepted]
    if not missing:
        return None
    message = f"{len(missing)} of {len(view.numbers)} numbers wait for the SIP proxy's database"
    return "Unknown", "NumbersPending", message


def _numbers_accepted(view: AgentView) -> Answer:
    return "True", "Accepted", f"{len(view.numbers)} numbers lead to this agent"


# --- DispatcherSynced --------------------------------------------------------------------------


def _guarded(view: AgentView) -> Answer:
    return ("False", "MassDeactivation", view.guard_message) if view.guard_message else None


def _not_tried(view: AgentView) -> Answer:
    if view.dispatcher.synced is not None:
        return None
    return "Unknown", "NotSynced", "the SIP proxy was not asked yet"


def _not_synced(view: AgentView) -> Answer:
    if view.dispatcher.synced:
        return None
    reason = view.dispatcher.reason or "SyncFailed"
    message = view.dispatcher.message or "the SIP proxy could not be written or read"
    return "False", reason, f"{message}; pods that take calls go on taking them"


def _rows_pending(view: AgentView) -> Answer:
    pending = len(view.pending_rows)
    if pending == 0:
        return None
    return "False", "RowsPending", f"{pending} pods wait until the SIP proxy has reached them"


# --- ProvidersReady ----------------------------------------------------------------------------


def _embedded(view: AgentView) -> Answer:
    if view.pools:
        return None
    return "True", "Embedded", "the engines inside the agent are used"


def _places(view: AgentView) -> list[tuple[str, PoolLink]]:
    """Each link of a chain with its field."""
    counts: dict[str, int] = {}
    places = []
    for link in view.pools:
        place = counts.get(link.stage, 0)
        counts[link.stage] = place + 1
        places.append((f"spec.providers.{link.stage}[{place}]", link))
    return places


def _pool_not_found(view: AgentView) -> Answer:
    for field, link in _places(view):
        if not link.exists:
            message = (
                f"{field}.pool names {link.name}, and there is no such ProviderPool in this "
                "namespace; create it or remove the name"
            )
            return "False", "PoolNotFound", message
    return None


def _wrong_stage(view: AgentView) -> Answer:
    for field, link in _places(view):
        if link.capability is not None and link.capability != link.stage:
            message = (
                f"{field}.pool names {link.name}, which is for {link.capability}; name a pool "
                f"for {link.stage}"
            )
            return "False", "WrongStage", message
    return None


def _chain_broken(view: AgentView) -> Answer:
    """A chain works when one of its pools does."""
    for stage in dict.fromkeys(link.stage for link in view.pools):
        links = [link for link in view.pools if link.stage == stage]
        if any(link.ready for link in links):
            continue
        if any(link.ready is None for link in links):
            return "Unknown", "PoolPending", f"the pools for {stage} were not looked at yet"
        first = links[0]
        return (
            "False",
            "PoolNotReady",
            f"no pool for {stage} is ready; {first.name}: {first.message}",
        )
    return None


def _chain_weakened(view: AgentView) -> Answer:
    names = [link.name for link in view.pools if not link.ready]
    if not names:
        return None
    return "True", "Degraded", f"works, without {', '.join(names)}"


def _pools_ready(view: AgentView) -> Answer:
    return "True", "PoolsReady", f"{len(view.pools)} pools are ready"


# --- Audited -----------------------------------------------------------------------------------


def _no_bank(view: AgentView) -> Answer:
    answer = _bank_not_found(view)
    return ("Unknown", *answer[1:]) if answer is not None else None


def _own_bank(view: AgentView) -> Answer:
    if not view.own_bank:
        return None
    message = (
        "spec.banking.url names a bank that the pods ask by themselves: these operations are not "
        "in the audit log and in no record, and tries are not counted across calls; "
    )
    if view.bank_service:
        advice = "remove spec.banking, and the platform's banking service asks the bank it knows"
    else:
        advice = "switch the platform's banking service on for this bank, and remove spec.banking"
    return "False", "OwnBank", message + advice


def _own_bank_leaving(view: AgentView) -> Answer:
    """What was changed in the spec is not yet so in pods of before."""
    pods = len(view.past_audit)
    if pods == 0:
        return None
    message = f"{pods} pods of a former revision still ask a bank by themselves; they leave"
    return "False", "OwnBankLeaving", message


# --- Progressing -------------------------------------------------------------------------------


def _progress_deleting(view: AgentView) -> Answer:
    answer = _deleting(view)
    return ("True", *answer[1:]) if answer is not None else None


def _rolling_out(view: AgentView) -> Answer:
    old = [pod for pod in view.existing if pod.revision != view.revision]
    if not old:
        return None
    there = len(view.ready_as_wanted)
    message = f"{there} of {view.wanted} pods run revision {view.revision}, {len(old)} an older one"
    return "True", "RollingOut", message


def _starting(view: AgentView) -> Answer:
    there = len(view.ready_as_wanted)
    if there >= view.wanted:
        return None
    problem = f" ({view.problem})" if view.problem else ""
    return "True", "PodsStarting", f"{there} of {view.wanted} pods take calls{problem}"


def _draining(view: AgentView) -> Answer:
    leaving = len(view.leaving)
    if leaving == 0:
        return None
    return "True", "Draining", f"{leaving} pods wait for their calls to end"


# --- Ready -------------------------------------------------------------------------------------


def _needs(check: tuple[Check, ...], reason: str) -> Check:
    """Another condition that must hold, with its own message."""

    def needed(view: AgentView) -> Answer:
        status, _, message = next(a for c in check if (a := c(view)) is not None)
        return None if status == "True" else (status, reason, message)

    return needed


def _scaled_to_zero(view: AgentView) -> Answer:
    if view.wanted > 0:
        return None
    return "True", "ScaledToZero", "no pods are wanted; calls to its numbers are refused"


def _no_pod_ready(view: AgentView) -> Answer:
    if view.ready:
        return None
    silent = view.dispatcher.message if view.dispatcher.synced is False else ""
    problem = view.problem or silent
    message = f"none of {view.wanted} pods takes calls"
    return "False", "NoPodReady", f"{message}: {problem}" if problem else message


def _revision_not_ready(view: AgentView) -> Answer:
    there = len(view.ready_as_wanted)
    if there >= view.wanted:
        return None
    others = len(view.ready) - there
    message = f"{there} of {view.wanted} pods of revision {view.revision} take calls"
    return "False", "PodsNotReady", f"{message}, and {others} older ones" if others else message


def _ready(view: AgentView) -> Answer:
    return "True", "AsWanted", f"{len(view.ready)} pods take calls"


NUMBERS: tuple[Check, ...] = (
    _no_numbers,
    _proxy_not_found,
    _numbers_refused,
    _numbers_pending,
    _numbers_accepted,
)
DISPATCHER: tuple[Check, ...] = (
    _proxy_not_found,
    _guarded,
    _not_tried,
    _not_synced,
    _rows_pending,
    _otherwise("Synced", "the SIP proxy has the rows that are wanted"),
)
PROVIDERS: tuple[Check, ...] = (
    _embedded,
    _pool_not_found,
    _wrong_stage,
    _chain_broken,
    _chain_weakened,
    _pools_ready,
)
AUDITED: tuple[Check, ...] = (
    _no_bank,
    _own_bank_refused,
    _own_bank,
    _own_bank_leaving,
    _otherwise("BankingService", "every banking operation is in the audit log"),
)
PROGRESSING: tuple[Check, ...] = (
    _progress_deleting,
    _apply_failed,
    _proxy_not_found,
    _rolling_out,
    _starting,
    _draining,
    _otherwise("Complete", "all is as wanted", status="False"),
)
READY: tuple[Check, ...] = (
    _deleting,
    _apply_failed,
    _proxy_not_found,
    _own_bank_refused,
    _bank_not_found,
    _needs(PROVIDERS, "ProvidersNotReady"),
    _needs(NUMBERS, "NumbersNotAccepted"),
    _scaled_to_zero,
    _bank_secret_missing,
    _no_pod_ready,
    _revision_not_ready,
    _ready,
)
CONDITIONS: dict[str, tuple[Check, ...]] = {
    "Ready": READY,
    "Progressing": PROGRESSING,
    "DispatcherSynced": DISPATCHER,
    "ProvidersReady": PROVIDERS,
    "NumbersAccepted": NUMBERS,
    "Audited": AUDITED,
}
