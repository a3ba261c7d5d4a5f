"""A client in another language's standard tool: grpcurl holds a whole session over reflection.

It knows nothing of our protos but what the server's reflection says (fields by their names in the
proto), and has a certificate and a token like any client.
"""

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from callfleet_agent.audio import Pcm8k
from callfleet_agent.audio.g711 import Law, encode
from callfleet_agent.identity import TlsFiles
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from callfleet_hack.cache import tools_dir
from identities import AGENT, CLIENT, HOST
from platform_rig import PHONE, Rig, rigged
from stores import Server, migrated

V1 = "callfleet.v1."
AVC = V1 + "AIVoiceConnectorService"


def grpcurl() -> Path:
    built = sorted(tools_dir().glob("grpcurl-*/grpcurl"))
    found = shutil.which("grpcurl")
    if not built and not found:
        pytest.skip("grpcurl is not built here; run hack/tools ensure grpcurl")
    return built[-1] if built else Path(str(found))


@dataclass
class Grpcurl:
    """Runs the tool with one identity."""

    rig: Rig
    identity: str
    files: TlsFiles
    with_token: bool = True

    def _options(self) -> list[str]:
        files = self.files
        options = [
            "-cacert", str(files.ca), "-cert", str(files.certificate), "-key", str(files.key),
            "-servername", HOST, "-max-time", "150", "-format-error",
        ]  # fmt: skip
        if self.with_token:
            (name, value), *_ = self.rig.tokens.metadata(self.identity)
            options += ["-H", f"{name}: {value}"]
        return options

    async def run(self, *words: str, stdin: str = "") -> tuple[int, str, str]:
        at = f"127.0.0.1:{self.rig.platform.port}"
        data = ["-d", "@"] if stdin else []
        process = await asyncio.create_subprocess_exec(
            str(grpcurl()), *self._options(), *data, at, *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, complaint = await process.communicate(stdin.encode())
        return process.returncode or 0, output.decode(), complaint.decode()

    async def ask(self, method: str, /, **request: Any) -> dict[str, Any]:
        code, output, complaint = await self.run(V1 + method, stdin=json.dumps(request))
        assert code == 0, complaint
        answer: dict[str, Any] = json.loads(output)
        return answer

    async def refused(self, method: str, /, **request: Any) -> dict[str, Any]:
        """The error as JSON: a google.rpc.Status."""
        code, output, complaint = await self.run(V1 + method, stdin=json.dumps(request))
        assert code != 0, output
        status: dict[str, Any] = json.loads(complaint)
        return status


@pytest.fixture
async def rig(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: Server, redis_server: Server
) -> AsyncIterator[Rig]:
    grpcurl()
    await asyncio.to_thread(migrated, postgres.url)
    more = {"roles": request.param, "burst": 1e4, "per_minute": 6e4}
    async with rigged(tmp_path, postgres.url, redis_server.url, **more) as running:
        yield running


def as_agent(rig: Rig) -> Grpcurl:
    return Grpcurl(rig, AGENT, rig.agent)


@pytest.mark.parametrize("rig", [("session-manager", "context-store", "banking")], indirect=True)
async def test_the_services_and_their_messages_are_described(rig: Rig) -> None:
    described = Grpcurl(rig, AGENT, rig.agent, with_token=False)  # reflection asks for none
    _, services, complaint = await described.run("list")
    _, methods, _ = await described.run("list", V1 + "BankingService")
    _, message, _ = await described.run("describe", V1 + "UpdateSessionRequest")

    assert complaint == ""
    assert {V1 + "SessionManagerService", V1 + "ContextStoreService", V1 + "BankingService"} < set(
        services.split()
    )
    assert methods.split() == [
        f"{V1}BankingService.{name}"
        for name in ("AuthenticateCustomer", "ProcessTransaction", "QueryCardDelivery")
    ]
    assert "uint64 expected_version = 5;" in message


@pytest.mark.parametrize("rig", [("session-manager", "context-store", "banking")], indirect=True)
async def test_a_session_from_its_creation_over_the_bank_to_its_end(rig: Rig) -> None:
    tool = as_agent(rig)
    made = await tool.ask(
        "SessionManagerService/CreateSession", sip_call_id="a@phone", caller_phone=PHONE
    )
    session = made["session_id"]
    changed = await tool.ask(
        "SessionManagerService/UpdateSession",
        session={"session_id": session, "avc_instance": "pod-1"},
        update_mask={"paths": ["avc_instance"]},
        expected_version=made["version"],
    )
    await tool.ask(
        "ContextStoreService/UpdateContext",
        session_id=session,
        append=[{"role": "ROLE_CALLER", "content": "where is my card"}],
        customer_data={"name": "Ada"},
        request_id=str(uuid4()),
    )
    verified = await tool.ask(
        "BankingService/AuthenticateCustomer",
        session_id=session,
        customer_id="200417",
        method="AUTHENTICATION_METHOD_CARD_LAST_DIGITS",
        credential="4271",
        request_id=str(uuid4()),
    )
    card = await tool.ask(
        "BankingService/QueryCardDelivery", session_id=session, customer_id="200417"
    )
    done = await tool.ask(
        "BankingService/ProcessTransaction",
        transaction_id=str(uuid4()),
        session_id=session,
        customer_id="200417",
        transaction_type="TRANSACTION_TYPE_CARD_INQUIRY",
    )
    context = await tool.ask("ContextStoreService/GetContext", session_id=session)
    late = await tool.refused(
        "SessionManagerService/UpdateSession",
        session={"session_id": session, "avc_instance": "pod-2"},
        update_mask={"paths": ["avc_instance"]},
        expected_version=made["version"],
    )
    removed = await tool.ask("ContextStoreService/CleanupContext", session_id=session)
    ended = await tool.ask("SessionManagerService/EndSession", session_id=session)
    found = await tool.ask("SessionManagerService/GetSession", session_id=session)

    assert (made["status"], made["version"], changed["version"]) == (
        "SESSION_STATUS_ACTIVE", "1", "2",
    )  # fmt: skip
    assert verified["status"] == "AUTHENTICATION_STATUS_VERIFIED"
    assert card["status"] == "CARD_DELIVERY_STATUS_SHIPPED"
    assert (done["outcome"], done["response_data"]["result"]) == (
        "OUTCOME_COMPLETED", {"status": "shipped"},
    )  # fmt: skip
    assert context["conversation_history"][0]["content"] == "where is my card"
    assert context["customer_data"] == {"name": "Ada"}
    assert (late["code"], removed["removed"]) == (10, 1)
    assert ended["status"] == found["status"] == "SESSION_STATUS_COMPLETED"
    assert (found["avc_instance"], found["caller_phone"]) == ("pod-1", PHONE)
    assert all("correlation_id" in answer for answer in (made, changed, verified, card, found))


@pytest.mark.parametrize("rig", [("session-manager",)], indirect=True)
async def test_a_refusal_is_read_with_its_fields(rig: Rig) -> None:
    refused = await as_agent(rig).refused(
        "SessionManagerService/CreateSession", sip_call_id="a", caller_phone="five five"
    )
    no_token = await Grpcurl(rig, AGENT, rig.agent, with_token=False).refused(
        "SessionManagerService/CreateSession", sip_call_id="a"
    )
    details = {detail["@type"].rpartition("/")[2]: detail for detail in refused["details"]}
    fields = details["google.rpc.BadRequest"]["field_violations"]
    assert refused["code"] == 3
    assert [one["field"] for one in fields] == ["caller_phone"]
    assert details["callfleet.v1.ErrorDetail"]["code"] == "INVALID_REQUEST"
    assert no_token["code"] == 16


@pytest.mark.spoken(minutes=0.6)
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed here")
@pytest.mark.parametrize("rig", [("session-manager", "ai-voice-connector")], indirect=True)
async def test_a_conversation_with_the_connector(rig: Rig, tmp_path: Path) -> None:
    files = rig.authority.issue(tmp_path / "client", CLIENT)
    tool = Grpcurl(rig, CLIENT, files)
    connector = "AIVoiceConnectorService/"
    made = await tool.ask(connector + "CreateSession", format="AUDIO_FORMAT_PCMU", sample_rate=8000)
    session = made["session_id"]
    said = await EspeakSynthesiser("en-gb", 150).speech("where is my credit card", private=True)
    sound = Pcm8k.silence(8000 * 14) + said + Pcm8k.silence(8000 * 10)  # greeting, answer

    code, output, complaint = await tool.run(
        V1 + connector + "ProcessAudioStream", stdin=stream(session, sound)
    )
    status = await tool.ask(connector + "GetSessionStatus", session_id=session)
    ended = await tool.ask(connector + "EndSession", session_id=session)

    assert code == 0, complaint
    heard = answers(output)
    assert sum(len(base64.b64decode(one["audio_data"])) for one in heard) > 8000
    assert {one["format"] for one in heard} == {"AUDIO_FORMAT_PCMU"}
    assert {one["session_id"] for one in heard} == {session}
    assert any(one.get("end_of_utterance") for one in heard)
    assert status["turns"] >= 1
    assert status["status"] == "SESSION_STATUS_ACTIVE"
    assert status["session_id"] == session
    assert ended["status"] == "SESSION_STATUS_COMPLETED"


def stream(session: str, sound: Pcm8k, size: int = 1600) -> str:
    """Messages for grpcurl's standard input, one after the other."""
    return "\n".join(
        json.dumps(
            {
                "audio_data": base64.b64encode(
                    encode(sound.slice(at, at + size), Law.PCMU)
                ).decode(),
                "sample_rate": 8000,
                "format": "AUDIO_FORMAT_PCMU",
                "session_id": session,
                "sequence_number": number,
            }
        )
        for number, at in enumerate(range(0, len(sound), size))
    )


def answers(output: str) -> list[dict[str, Any]]:
    """JSON objects, one after the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while output[at:].strip():
        at += len(output[at:]) - len(output[at:].lstrip())
        answer, at = decoder.raw_decode(output, at)
        found.append(answer)
    return found
