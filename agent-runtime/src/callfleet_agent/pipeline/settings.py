"""The worker's settings: one frozen object, read once from the agent's manifest."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from callfleet_agent.banking import HttpBankSettings, OAuthSettings
from callfleet_agent.dialog import DateOrder, DialogSettings, Method
from callfleet_operator.model import VoiceAgent
from callfleet_operator.model.voiceagent import Banking

_VOICES = {"en": "en-us", "en-US": "en-us", "en-GB": "en-gb"}
# As the CLDR has it, where English of no country is that of the United States.
_DATES = {
    "en": DateOrder.MONTH_FIRST, "en-US": DateOrder.MONTH_FIRST, "en-GB": DateOrder.DAY_FIRST,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceActivitySettings:
    """When somebody speaks. `start_ms`: that much speech before it counts; more while the agent
    speaks (`barge_in_ms`), so that a click or a cough does not stop it.

    `lead_ms` of sound before the speech go to the recogniser: an S or an F begins before a voice
    does, but a longer quiet is heard as a word ("five"), and counts against short ones ("no")."""

    confidence: float = 0.6
    quiet_confidence: float = 0.35
    start_ms: int = 64
    barge_in_ms: int = 200
    lead_ms: int = 180
    longest_lead_ms: int = 500
    floor_dbfs: float = -50.0
    longest_ms: int = 15_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointingSettings:
    """When somebody has finished. `look_ms` of quiet: recognition runs ahead."""

    look_ms: int = 96
    min_ms: int = 200
    max_ms: int = 1200


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """Everything a worker process is told. `identity` is the folder of its certificate."""

    dialog: DialogSettings = field(default_factory=DialogSettings)
    bank: HttpBankSettings = field(default_factory=lambda: HttpBankSettings(url="http://127.0.0.1"))
    voice_activity: VoiceActivitySettings = field(default_factory=VoiceActivitySettings)
    endpointing: EndpointingSettings = field(default_factory=EndpointingSettings)
    voice: str = "en-us"
    words_per_minute: int = 165
    calls: int = 25
    decoder_processes: int = 2
    decoders_in_each: int = 5
    decoder_s: float = 4.0
    bank_slow_s: float = 0.9
    live_file: Path | None = None
    accounts_dir: Path | None = None
    identity: Path | None = None

    @classmethod
    def from_voice_agent(
        cls,
        agent: VoiceAgent,
        *,
        credentials_dir: Path = Path("/etc/callfleet/banking"),
        live_file: Path | None = None,
        accounts_dir: Path | None = None,
        identity: Path | None = None,
    ) -> Self:
        """The settings of a manifest; `credentials_dir` may hold what `_bank_of` reads, and
        `live_file` the chains of providers, which are followed when it changes. In `accounts_dir`
        the workers of a pod count together what they spend."""
        dialog, banking, vad = agent.spec.dialog, agent.spec.banking, agent.spec.providers.vad
        calls = -(-agent.spec.capacity.calls_per_pod // agent.spec.capacity.workers)
        quiet_ms = max(dialog.endpointing.min_milliseconds, vad.stop_milliseconds)
        return cls(
            dialog=DialogSettings(
                bank_name=dialog.bank_name,
                barge_in=dialog.barge_in,
                method=Method(str(dialog.authentication.method)),
                credential_digits=dialog.authentication.digits,
                date_order=_DATES[dialog.language],
                max_attempts=dialog.authentication.max_attempts,
            ),
            bank=_bank_of(banking, credentials_dir),
            voice_activity=VoiceActivitySettings(
                confidence=vad.confidence,
                quiet_confidence=max(0.15, vad.confidence - 0.25),
                start_ms=min(64, vad.start_milliseconds),
                barge_in_ms=vad.start_milliseconds,
            ),
            endpointing=EndpointingSettings(
                min_ms=quiet_ms,
                max_ms=max(quiet_ms, dialog.endpointing.max_milliseconds),
                look_ms=max(64, quiet_ms // 2),
            ),
            live_file=live_file,
            accounts_dir=accounts_dir,
            identity=identity,
            voice=_VOICES[dialog.language],
            # A resumed call may come on top of a full house.
            calls=calls + max(2, calls // 4),
            decoder_processes=2 if calls > 4 else 1,
        )


def _bank_of(banking: Banking, folder: Path) -> HttpBankSettings:
    """The folder may hold `token`, or `clientId` and `clientSecret`; `ca.crt`; `tls.crt` and
    `tls.key`."""

    def there(name: str) -> Path | None:
        return folder / name if (folder / name).exists() else None

    oauth = None
    if banking.oauth is not None:
        oauth = OAuthSettings(
            token_url=banking.oauth.token_url,
            client_id_file=folder / "clientId",
            client_secret_file=there("clientSecret"),
            scope=banking.oauth.scope or "",
        )
    certificate = there("tls.crt")
    return HttpBankSettings(
        url=str(banking.url or ""),
        timeout_s=float(banking.timeout_seconds),
        token_file=there("token"),
        oauth=oauth,
        ca_file=there("ca.crt"),
        certificate_file=certificate,
        key_file=None if certificate is None else folder / "tls.key",
    )
