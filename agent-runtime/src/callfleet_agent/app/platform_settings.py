"""What one process of the platform is told: its roles, where everything is, how much it takes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from callfleet_agent.app.errors import SettingsError
from callfleet_agent.app.patience import Patience
from callfleet_agent.banking import HttpBankSettings, OAuthSettings
from callfleet_agent.dialog import DialogSettings, Method
from callfleet_agent.services.bucket import Limit
from callfleet_agent.services.limits import Limits
from callfleet_agent.storage.database import DatabaseSettings
from callfleet_operator.model.voiceagent import CALLS_PER_WORKER

SESSION_MANAGER: Final = "session-manager"
CONTEXT_STORE: Final = "context-store"
BANKING: Final = "banking"
LLM: Final = "llm"
CONNECTOR: Final = "ai-voice-connector"
STORED: Final = (SESSION_MANAGER, CONTEXT_STORE, BANKING, LLM)
ROLES: Final = (*STORED, "vad", "asr", "tts", CONNECTOR)
SPOKEN: Final = ("vad", "asr", "tts", LLM, CONNECTOR)
BANKED: Final = (BANKING, LLM, CONNECTOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformSettings:
    """One process of the platform. URLs hold passwords and are not shown."""

    roles: tuple[str, ...]
    tls: Path
    token_keys: Path
    token_issuer: str
    database_url: str = field(default="", repr=False)
    redis_url: str = field(default="", repr=False)
    sealing_keys: Path | None = None
    bank_url: str = ""
    bank_token: Path | None = None
    bank_ca: Path | None = None
    bank_certificate: Path | None = None
    bank_key: Path | None = None
    bank_token_url: str = ""
    bank_client_id: Path | None = None
    bank_client_secret: Path | None = None
    bank_scope: str = ""
    bind: str = "0.0.0.0"  # noqa: S104, in a pod every interface is the pod's own
    port: int = 7443
    http_port: int | None = 8080
    database_pool: int = 10
    per_minute: float = 100.0
    burst: float = 20.0
    agents_per_minute: float = 6000.0
    calls: int = 20
    workers: int | None = None  # as many as the calls need
    bank_name: str = "Example Bank"
    proof: str = "card-last-four"
    proof_digits: int = 4
    peers: tuple[str, ...] = ()  # HOST:PORT of all replicas of ai-voice-connector
    journal: Path | None = None  # what conversations over streams owe to the stores
    pod: str = ""  # the process's name in the records of its conversations
    providers: Path | None = None
    llm_url: str = ""
    llm_engine: str = "vllm"
    llm_model: str | None = None
    llm_key: Path | None = None
    model_facts: tuple[str, ...] = ("topic", "product", "card_type", "channel", "reason")
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        unknown = set(self.roles) - set(ROLES)
        if unknown:
            raise SettingsError(f"there is no role {sorted(unknown)[0]}")
        keeps = set(self.roles) & set(STORED)
        if keeps and not (self.database_url and self.redis_url and self.sealing_keys):
            raise SettingsError(
                "--database-url, --redis-url and --sealing-keys are needed for what is kept"
            )
        if self.llm_url and self.providers is not None:
            raise SettingsError("--llm-url and --providers exclude each other")
        for role in sorted(set(self.roles) & set(BANKED)):
            if not self.bank_url:
                raise SettingsError(f"--bank-url is needed for {role}")
        self._check_bank()
        self._check_peers()

    def _check_peers(self) -> None:
        if self.peers and CONNECTOR not in self.roles:
            raise SettingsError("--peers is for ai-voice-connector")
        for peer in self.peers:
            host, _, port = peer.rpartition(":")
            if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
                raise SettingsError(f"--peers: {peer!r} is no HOST:PORT")

    def _check_bank(self) -> None:
        if (self.bank_certificate is None) is not (self.bank_key is None):
            raise SettingsError("--bank-certificate and --bank-key go together")
        if not self.bank_token_url:
            if self.bank_client_id or self.bank_client_secret or self.bank_scope:
                raise SettingsError("--bank-client-… and --bank-scope need --bank-token-url")
            return
        if self.bank_token is not None:
            raise SettingsError("--bank-token and --bank-token-url exclude each other")
        if self.bank_client_id is None:
            raise SettingsError("--bank-token-url needs --bank-client-id")
        if self.bank_client_secret is None and self.bank_certificate is None:
            raise SettingsError("--bank-token-url needs --bank-client-secret or --bank-certificate")

    @property
    def bank(self) -> HttpBankSettings:
        """Where the bank is, and how we prove ourselves to it: a secret that is not there is none
        where a certificate is."""
        oauth, secret = None, self.bank_client_secret
        if secret is not None and self.bank_certificate is not None and not secret.exists():
            secret = None
        if self.bank_token_url and self.bank_client_id is not None:
            oauth = OAuthSettings(
                token_url=self.bank_token_url,
                client_id_file=self.bank_client_id,
                client_secret_file=secret,
                scope=self.bank_scope,
            )
        return HttpBankSettings(
            url=self.bank_url,
            timeout_s=self.patience.bank_s,
            token_file=self.bank_token,
            oauth=oauth,
            ca_file=self.bank_ca,
            certificate_file=self.bank_certificate,
            key_file=self.bank_key,
        )

    @property
    def database(self) -> DatabaseSettings:
        """Where what is kept is kept."""
        patience = self.patience
        return DatabaseSettings(
            url=self.database_url,
            pool=self.database_pool,
            pool_wait_s=patience.turn_s,
            connect_s=patience.connect_s,
            statement_s=patience.statement_s,
        )

    @property
    def dialog(self) -> DialogSettings:
        """The conversation of llm and ai-voice-connector."""
        method = Method(self.proof)
        digits = self.proof_digits if method in {Method.PIN, Method.ONE_TIME_CODE} else 4
        return DialogSettings(bank_name=self.bank_name, method=method, credential_digits=digits)

    @property
    def workers_wanted(self) -> int:
        """Processes that hold conversations, not counting the warm spare."""
        return self.workers or -(-self.calls // CALLS_PER_WORKER)

    @property
    def limits(self) -> Limits:
        """An agent's pods hold many calls at once: their limit is one of their own."""
        agents = Limit(self.agents_per_minute, max(self.burst, self.agents_per_minute / 10))
        return Limits(
            Limit(self.per_minute, self.burst),
            {"voiceagent": agents, "ai-voice-connector": agents},
        )
