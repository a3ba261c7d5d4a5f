"""How a process is told to prove itself to the bank."""

from pathlib import Path
from typing import Any

import pytest

from callfleet_agent.app.errors import SettingsError
from callfleet_agent.app.platform_settings import PlatformSettings
from callfleet_agent.banking import OAuthSettings
from callfleet_agent.pipeline.settings import WorkerSettings
from callfleet_operator.model import load_voice_agent

SEEN = Path("/etc/callfleet/bank")


def told(**options: Any) -> PlatformSettings:
    return PlatformSettings(
        roles=("ai-voice-connector",), tls=Path("/tls"), token_keys=Path("/jwks"),
        token_issuer="x", bank_url="https://bank.example", **options,
    )  # fmt: skip


class TestServices:
    def test_a_token(self) -> None:
        bank = told(bank_token=SEEN / "token", bank_ca=SEEN / "ca.crt").bank
        assert (bank.token_file, bank.ca_file, bank.oauth) == (
            SEEN / "token", SEEN / "ca.crt", None,
        )  # fmt: skip

    def test_client_credentials_and_a_certificate(self, tmp_path: Path) -> None:
        secret = tmp_path / "clientSecret"
        options = {
            "bank_token_url": "https://login.example/token", "bank_client_id": SEEN / "clientId",
            "bank_client_secret": secret, "bank_scope": "cards",
            "bank_certificate": SEEN / "tls.crt", "bank_key": SEEN / "tls.key",
        }  # fmt: skip
        wanted = OAuthSettings(
            token_url="https://login.example/token", client_id_file=SEEN / "clientId", scope="cards"
        )
        bank = told(**options).bank
        assert bank.oauth == wanted  # the certificate proves the client
        assert (bank.certificate_file, bank.key_file) == (SEEN / "tls.crt", SEEN / "tls.key")
        secret.touch()
        assert told(**options).bank.oauth != wanted

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"bank_certificate": SEEN}, "--bank-certificate and --bank-key go together"),
            ({"bank_key": SEEN}, "--bank-certificate and --bank-key go together"),
            ({"bank_client_id": SEEN}, "need --bank-token-url"),
            ({"bank_scope": "cards"}, "need --bank-token-url"),
            ({"bank_token_url": "https://a.example", "bank_token": SEEN}, "exclude each other"),
            ({"bank_token_url": "https://a.example"}, "needs --bank-client-id"),
            ({"bank_token_url": "https://a.example", "bank_client_id": SEEN},
             "needs --bank-client-secret or --bank-certificate"),
        ],
    )  # fmt: skip
    def test_what_does_not_go_together_is_named(self, options: dict[str, Any], says: str) -> None:
        with pytest.raises(SettingsError, match=says):
            told(**options)


class TestAgents:
    def settings(self, folder: Path, **banking: Any) -> WorkerSettings:
        agent = load_voice_agent(
            {
                "apiVersion": "callfleet.io/v1alpha1", "kind": "VoiceAgent",
                "metadata": {"name": "card-line"},
                "spec": {"banking": {"url": "https://bank.example", **banking}},
            }
        )  # fmt: skip
        return WorkerSettings.from_voice_agent(agent, credentials_dir=folder)

    def test_they_read_what_is_mounted(self, tmp_path: Path) -> None:
        for name in ("clientId", "tls.crt", "tls.key", "ca.crt"):
            (tmp_path / name).touch()
        bank = self.settings(
            tmp_path,
            credentialsSecretName="bank",
            oauth={"tokenUrl": "https://login.example/token", "scope": "a b"},
            certificateSecretName="pair",
        ).bank
        assert bank.oauth == OAuthSettings(
            token_url="https://login.example/token",
            client_id_file=tmp_path / "clientId",
            scope="a b",
        )
        assert (bank.token_file, bank.ca_file) == (None, tmp_path / "ca.crt")
        assert (bank.certificate_file, bank.key_file) == (
            tmp_path / "tls.crt",
            tmp_path / "tls.key",
        )

    def test_nothing_is_mounted(self, tmp_path: Path) -> None:
        bank = self.settings(tmp_path).bank
        assert (bank.token_file, bank.oauth, bank.certificate_file, bank.key_file) == (None,) * 4
