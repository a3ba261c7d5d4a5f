"""How we prove ourselves to a bank: OAuth 2.0 client credentials, a client certificate, or both."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from callfleet_agent.banking import (
    AuthenticationError,
    AuthenticationRequest,
    AuthenticationStatus,
    BankingError,
    BankProtocolError,
    BankUnavailableError,
    CardDeliveryRequest,
    CardStatus,
    HttpBank,
    HttpBankSettings,
    OAuthSettings,
    RequestRefusedError,
    Timing,
)
from callfleet_agent.identity import TlsFiles
from fakes.bank import FakeBank, FakeTokens
from identities import AGENT, Authority

CARD = CardDeliveryRequest(customer_id="c-1001")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def asked(bank: HttpBank) -> None:
    assert (await bank.query_card_delivery(CARD)).status is CardStatus.SHIPPED


class Rig:
    """A bank with tokens, and our side of it."""

    def __init__(self, folder: Path, bank: FakeBank, tokens: FakeTokens) -> None:
        self.folder, self.bank, self.tokens, self.clock = folder, bank, tokens, Clock()
        (folder / "id").write_text(f"{tokens.client}\n")
        (folder / "secret").write_text(f"{tokens.secret}\n")
        self.settings = HttpBankSettings(
            url=bank.url,
            timeout_s=60.0,
            retries=0,
            oauth=OAuthSettings(
                token_url=f"{bank.url}/oauth2/token",
                client_id_file=folder / "id",
                client_secret_file=folder / "secret",
                scope=tokens.scope,
            ),
        )

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[HttpBank]:
        bank = HttpBank(self.settings, Timing(clock=self.clock))
        yield bank
        await bank.close()

    def posts(self) -> int:
        return len([request for request in self.bank.requests if request.startswith("POST")])


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    tokens = FakeTokens(scope="cards proofs")
    async with FakeBank(tokens=tokens) as bank:
        yield Rig(tmp_path, bank, tokens)


class TestClientCredentials:
    async def test_one_token_serves_until_shortly_before_its_end(self, rig: Rig) -> None:
        async with rig.asking() as bank:
            await asked(bank)
            rig.clock.now += 269.0
            await asked(bank)
            assert rig.tokens.given == 1
            rig.clock.now += 2.0  # 30 s before 300
            await asked(bank)
            assert rig.tokens.given == 2

    async def test_requests_at_once_wait_for_one_token(self, rig: Rig) -> None:
        rig.tokens.delay_s = 0.05
        async with rig.asking() as bank:
            await asyncio.gather(*(asked(bank) for _ in range(8)))
        assert rig.tokens.given == 1

    async def test_one_that_is_given_up_leaves_the_others_their_token(self, rig: Rig) -> None:
        rig.tokens.delay_s = 0.1
        async with rig.asking() as bank:
            first = asyncio.create_task(asked(bank))
            await asyncio.sleep(0.03)
            second = asyncio.create_task(asked(bank))
            await asyncio.sleep(0.03)
            first.cancel()
            await asyncio.wait_for(second, 60)

    async def test_a_token_that_was_withdrawn_is_replaced_and_the_try_counts_once(
        self, rig: Rig
    ) -> None:
        async with rig.asking() as bank:
            await asked(bank)
            rig.clock.now += 60.0
            rig.tokens.good.clear()
            found = await bank.authenticate_customer(
                AuthenticationRequest(
                    idempotency_key=uuid4(), method="card-last-four", credential="0000",
                    customer_number="200417",
                )
            )  # fmt: skip
        assert found.status is AuthenticationStatus.REFUSED
        assert (rig.tokens.given, rig.bank.state.failures) == (2, {"c-1001": 1})

    async def test_a_bank_that_refuses_fresh_tokens_is_not_asked_over_and_over(
        self, rig: Rig
    ) -> None:
        async with rig.asking() as bank:
            await asked(bank)
            rig.tokens.good.clear()  # within the first seconds of its life
            for _ in range(3):
                with pytest.raises(AuthenticationError):
                    await asked(bank)
        assert rig.tokens.given == 1

    async def test_a_rotated_secret_is_read_for_the_next_token(self, rig: Rig) -> None:
        async with rig.asking() as bank:
            rig.tokens.secret = "another"
            with pytest.raises(AuthenticationError) as caught:
                await asked(bank)
            assert caught.value.code == "token_refused"
            (rig.folder / "secret").write_text("another")
            await asked(bank)

    async def test_a_server_that_tells_no_life_is_asked_again_in_time(self, rig: Rig) -> None:
        rig.tokens.life = None
        async with rig.asking() as bank:
            await asked(bank)
            rig.clock.now += 271.0
            await asked(bank)
        assert rig.tokens.given == 2

    @pytest.mark.parametrize(
        ("status", "answer", "error"),
        [
            (400, {"error": "invalid_scope"}, AuthenticationError),
            (401, {"error": "invalid_client"}, AuthenticationError),
            (404, {}, RequestRefusedError),
            (429, {}, BankUnavailableError),
            (503, {}, BankUnavailableError),
            (200, [], BankProtocolError),
            (200, {"token_type": "mac", "access_token": "x"}, BankProtocolError),
            (200, {"token_type": "Bearer"}, BankProtocolError),
            (200, {"token_type": "Bearer", "access_token": ""}, BankProtocolError),
            (200, {"token_type": "Bearer", "access_token": "a b"}, BankProtocolError),
            (200, {"token_type": "Bearer", "access_token": "a\r\nX: y"}, BankProtocolError),
            (200, {"token_type": "Bearer", "access_token": "x" * 8193}, BankProtocolError),
            (200, {"token_type": "Bearer", "access_token": "x", "expires_in": 0},
             BankProtocolError),
            (200, {"token_type": "Bearer", "access_token": "x", "expires_in": True},
             BankProtocolError),
            (200, {"token_type": "Bearer", "access_token": "x", "expires_in": "soon"},
             BankProtocolError),
        ],
    )  # fmt: skip
    async def test_what_can_go_wrong_with_a_token_is_no_card_and_no_secret(
        self, rig: Rig, status: int, answer: object, error: type[BankingError]
    ) -> None:
        rig.tokens.answer = (status, answer)
        async with rig.asking() as bank:
            with pytest.raises(error) as caught:
                await asked(bank)
        assert not [request for request in rig.bank.requests if "card-delivery" in request]
        told = f"{caught.value.code} {caught.value}"
        secret = str(rig.tokens.secret)
        for hidden in (secret, base64.b64encode(secret.encode()).decode(), rig.tokens.client):
            assert hidden not in told

    async def test_a_life_in_quotes_is_read(self, rig: Rig) -> None:
        rig.tokens.life = "300"
        async with rig.asking() as bank:
            await asked(bank)
            await asked(bank)
        assert rig.tokens.given == 1

    async def test_a_slow_server_of_tokens_is_given_up_within_the_limit(self, rig: Rig) -> None:
        rig.tokens.delay_s = 5.0
        rig.settings = replace(rig.settings, timeout_s=0.05)
        async with rig.asking() as bank:
            with pytest.raises(BankUnavailableError):
                await asked(bank)

    @pytest.mark.parametrize("file", ["id", "secret"])
    async def test_a_file_that_is_not_there_is_our_fault(self, rig: Rig, file: str) -> None:
        (rig.folder / file).unlink()
        async with rig.asking() as bank:
            with pytest.raises(RequestRefusedError, match="client"):
                await asked(bank)
        assert rig.posts() == 0


@pytest.fixture
def authority() -> Authority:
    return Authority()


def served(files: TlsFiles, *, most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """A bank that asks for a certificate of its authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(files.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = most
    return context


def shown(bank: FakeBank, files: TlsFiles, **more: object) -> HttpBank:
    settings = HttpBankSettings(
        url=bank.url, timeout_s=60.0, retries=0, ca_file=files.ca,
        certificate_file=files.certificate, key_file=files.key,
    )  # fmt: skip
    return HttpBank(replace(settings, **more))  # type: ignore[arg-type]


class TestClientCertificate:
    async def test_it_is_shown_and_followed(self, tmp_path: Path, authority: Authority) -> None:
        files = authority.issue(tmp_path / "agent", AGENT)
        async with FakeBank(tls=served(authority.issue(tmp_path / "bank"))) as bank:
            ours = shown(bank, files)
            await asked(ours)
            Authority().issue(tmp_path / "agent", AGENT)  # a stranger's, in its place
            with pytest.raises(BankUnavailableError):
                await asked(ours)
            authority.issue(tmp_path / "agent", AGENT)
            await asked(ours)
            await ours.close()

    async def test_a_rotation_that_is_seen_half_way_changes_nothing(
        self, tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
    ) -> None:
        files = authority.issue(tmp_path / "agent", AGENT)
        async with FakeBank(tls=served(authority.issue(tmp_path / "bank"))) as bank:
            ours = shown(bank, files)
            await asked(ours)
            other = authority.issue(tmp_path / "next", AGENT)
            files.certificate.write_bytes(other.certificate.read_bytes())
            await asked(ours)
            assert "cannot be read again" in caplog.text
            files.key.write_bytes(other.key.read_bytes())
            await asked(ours)
            await ours.close()

    async def test_without_it_the_bank_does_not_talk_to_us(
        self, tmp_path: Path, authority: Authority
    ) -> None:
        files = authority.issue(tmp_path / "agent", AGENT)
        async with FakeBank(tls=served(authority.issue(tmp_path / "bank"))) as bank:
            ours = shown(bank, files, certificate_file=None, key_file=None)
            with pytest.raises(BankUnavailableError):
                await asked(ours)
            await ours.close()
            assert bank.requests == []

    @pytest.mark.parametrize("file", ["certificate", "key"])
    async def test_a_file_that_is_not_there_is_our_fault(
        self, tmp_path: Path, authority: Authority, file: str
    ) -> None:
        files = authority.issue(tmp_path / "agent", AGENT)
        getattr(files, file).unlink()
        async with FakeBank() as bank:
            ours = shown(bank, files)
            with pytest.raises(RequestRefusedError) as caught:
                await asked(ours)
            assert caught.value.code == "bad_certificate_file"
            await ours.close()

    async def test_tls_before_1_3_is_not_spoken(self, tmp_path: Path, authority: Authority) -> None:
        files = authority.issue(tmp_path / "agent", AGENT)
        old = served(authority.issue(tmp_path / "bank"), most=ssl.TLSVersion.TLSv1_2)
        async with FakeBank(tls=old) as bank:
            ours = shown(bank, files)
            with pytest.raises(BankUnavailableError):
                await asked(ours)
            await ours.close()

    async def test_it_proves_us_to_the_server_of_tokens_as_well(
        self, tmp_path: Path, authority: Authority
    ) -> None:
        files = authority.issue(tmp_path / "agent", AGENT)
        (tmp_path / "id").write_text("card-line")
        tokens = FakeTokens(secret=None)
        tls = served(authority.issue(tmp_path / "bank"))
        async with FakeBank(tokens=tokens, tls=tls) as bank:
            oauth = OAuthSettings(
                token_url=f"{bank.url}/oauth2/token", client_id_file=tmp_path / "id"
            )
            ours = shown(bank, files, oauth=oauth)
            await asked(ours)
            await ours.close()
        assert tokens.given == 1
