"""Who may call what, written out: a right that somebody is given by mistake is a right too many."""

from collections.abc import Mapping
from typing import Final

import pytest

from callfleet_agent.services.policy import POLICY, Identity, Rule, admits, identity_of, pool_policy

IDENTITIES: Final = {
    "operator": "spiffe://callfleet.io/operator",
    "voiceagent": "spiffe://callfleet.io/ns/bank/voiceagent/card-line",
    "client": "spiffe://callfleet.io/ns/bank/client/kiosk",
    "providerpool": "spiffe://callfleet.io/ns/bank/providerpool/whisper",
} | {
    role: f"spiffe://callfleet.io/ns/callfleet-system/service/{role}"
    for role in (
        "session-manager", "context-store", "banking", "llm", "vad", "asr", "tts",
        "ai-voice-connector", "demo-bank",
    )
}  # fmt: skip

# One column for each of them: o operator, a voiceagent, c client, p providerpool; then the services
# S session-manager, C context-store, B banking, L llm, V vad, A asr, T tts, K ai-voice-connector,
# d any other. Who may call has their letter.
COLUMNS: Final = dict(
    zip(
        "oacpSCBLVATKd",
        (
            "operator", "voiceagent", "client", "providerpool", "session-manager", "context-store",
            "banking", "llm", "vad", "asr", "tts", "ai-voice-connector", "demo-bank",
        ),
        strict=True,
    )
)  # fmt: skip
MATRIX: Final = {
    "SessionManagerService/CreateSession":      (" a         K ", "session-manager sessions.write"),
    "SessionManagerService/UpdateSession":      (" a         K ", "session-manager sessions.write"),
    "SessionManagerService/GetSession":         ("oa    BL   K ", "session-manager sessions.read"),
    "SessionManagerService/FindInterrupted":    (" a           ", "session-manager sessions.read"),
    "SessionManagerService/EndSession":         (" a         K ", "session-manager sessions.write"),
    "ContextStoreService/GetContext":           (" a     L   K ", "context-store contexts.read"),
    "ContextStoreService/UpdateContext":        (" a     L   K ", "context-store contexts.write"),
    "ContextStoreService/CleanupContext":       (" a  S      K ", "context-store contexts.write"),
    "BankingService/AuthenticateCustomer":      (" a     L   K ", "banking banking.authenticate"),
    "BankingService/QueryCardDelivery":         (" a     L   K ", "banking banking.read"),
    "BankingService/ProcessTransaction":        (" a     L   K ", "banking banking.write"),
    "AIVoiceConnectorService/CreateSession":    ("  c          ", "ai-voice-connector calls"),
    "AIVoiceConnectorService/ProcessAudioStream": ("  c          ", "ai-voice-connector calls"),
    "AIVoiceConnectorService/EndSession":       ("  c          ", "ai-voice-connector calls"),
    "AIVoiceConnectorService/GetSessionStatus": ("  c          ", "ai-voice-connector calls"),
    "VADService/ProcessAudio":                  (" ac        K ", "vad speech"),
    "VADService/Configure":                     (" ac        K ", "vad speech"),
    "ASRService/RecognizeSpeech":               (" ac        K ", "asr speech"),
    "ASRService/SelectProvider":                (" ac        K ", "asr speech"),
    "LLMService/ProcessText":                   (" ac        K ", "llm conversation"),
    "LLMService/UpdateContext":                 (" ac        K ", "llm conversation"),
    "TTSService/SynthesizeText":                (" ac        K ", "tts speech"),
    "TTSService/SelectVoice":                   (" ac        K ", "tts speech"),
}  # fmt: skip
OF_A_POOL: Final = {
    "ASRService/RecognizeSpeech": " a       A K ",
    "ASRService/SelectProvider":  " a       A K ",
    "TTSService/SynthesizeText":  " a        TK ",
    "TTSService/SelectVoice":     " a        TK ",
}  # fmt: skip
OPEN: Final = (
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)


def identity(role: str) -> Identity:
    found = identity_of([IDENTITIES[role]])
    assert found is not None
    assert found.role == role
    return found


def row(rule: Rule) -> str:
    """The letters of those whom the rule admits, each at its place."""
    return "".join(
        letter if admits(rule, identity(role)) else " " for letter, role in COLUMNS.items()
    )


def test_the_tables_columns_are_all_identities() -> None:
    assert set(COLUMNS.values()) == IDENTITIES.keys()


def test_each_rpc_admits_whom_the_table_says_with_the_token_that_it_says() -> None:
    assert {
        rpc: (row(rule), f"{rule.audience} {rule.scope}") for rpc, rule in ours(POLICY)
    } == MATRIX


def test_a_pools_server_admits_agents_of_its_namespace_and_who_works_with_pools() -> None:
    rules = pool_policy("bank")
    assert {rpc: row(rule) for rpc, rule in ours(rules)} == OF_A_POOL
    elsewhere = pool_policy("another")
    assert {row(rule) for _, rule in ours(elsewhere)} == {"         A K ", "          TK "}
    assert {(rule.audience, rule.scope) for _, rule in ours(rules)} == {("", "")}


def ours(rules: Mapping[str, Rule]) -> list[tuple[str, Rule]]:
    return [
        (rpc.removeprefix("/callfleet.v1."), rule)
        for rpc, rule in rules.items()
        if rpc.startswith("/callfleet.v1.")
    ]


@pytest.mark.parametrize("rules", [POLICY, pool_policy("bank")])
def test_beyond_these_there_are_health_and_reflection_for_every_identity(
    rules: Mapping[str, Rule],
) -> None:
    others = {rpc: rule for rpc, rule in rules.items() if not rpc.startswith("/callfleet.v1.")}
    assert sorted(others) == sorted(OPEN)
    for rule in others.values():
        assert row(rule) == "".join(COLUMNS)
        assert (rule.audience, rule.scope) == ("", "")
