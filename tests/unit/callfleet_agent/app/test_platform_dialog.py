"""Which conversation the platform's services hold."""

from pathlib import Path

import pytest

from callfleet_agent.app.platform_settings import PlatformSettings
from callfleet_agent.dialog import DialogSettings, Method


def settings(**more: object) -> PlatformSettings:
    given = {"roles": ("vad",), "tls": Path(), "token_keys": Path(), "token_issuer": "i", **more}
    return PlatformSettings(**given)  # type: ignore[arg-type]


def test_callers_are_asked_for_the_card_unless_told_otherwise() -> None:
    assert settings().dialog == DialogSettings()


@pytest.mark.parametrize(
    ("proof", "digits", "keys"),
    [("card-last-four", 6, 4), ("pin", 6, 6), ("one-time-code", 6, 6), ("date-of-birth", 6, 8)],
)
def test_how_callers_prove_who_they_are(proof: str, digits: int, keys: int) -> None:
    dialog = settings(proof=proof, proof_digits=digits, bank_name="A Bank").dialog
    assert (dialog.method, dialog.credential_keys) == (Method(proof), keys)
    assert dialog.bank_name == "A Bank"
