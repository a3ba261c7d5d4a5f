"""How long the platform waits, where nobody says otherwise and where somebody does."""

from pathlib import Path

from callfleet_agent.app.answerer import RECORDING_S
from callfleet_agent.app.patience import Patience
from callfleet_agent.app.platform_settings import PlatformSettings
from callfleet_agent.app.platform_speech import one_model
from callfleet_agent.banking import HttpBankSettings
from callfleet_agent.chain import Limits
from callfleet_agent.pipeline.settings import WorkerSettings
from callfleet_agent.pipeline.transcriber_sphinx import ANSWER_LIMIT_S
from callfleet_agent.services.limits import LIMIT_S
from callfleet_agent.storage.database import DatabaseSettings


def settings(**more: object) -> PlatformSettings:
    given = {
        "roles": ("vad",), "tls": Path(), "token_keys": Path(), "token_issuer": "i",
        "database_url": "postgresql://db", "bank_url": "http://bank", "llm_url": "http://llm",
    }  # fmt: skip
    return PlatformSettings(**(given | more))  # type: ignore[arg-type]


def test_by_itself_it_waits_as_long_as_each_part_would() -> None:
    given = settings()
    assert given.bank == HttpBankSettings(url="http://bank")
    assert given.database == DatabaseSettings(url="postgresql://db")
    assert given.patience.decoder_s == WorkerSettings().decoder_s == ANSWER_LIMIT_S
    assert given.patience.redis_s == LIMIT_S
    assert given.patience.recording_s == RECORDING_S


def test_it_waits_as_long_as_it_is_told() -> None:
    limits = Limits(connect_s=1, first_s=2, gap_s=3, total_s=4)
    patience = Patience(bank_s=6, connect_s=7, statement_s=8, turn_s=9, model=limits)
    given = settings(patience=patience)
    database = given.database
    assert given.bank.timeout_s == 6
    assert (database.connect_s, database.statement_s, database.pool_wait_s) == (7, 8, 9)
    for member in one_model(given).llm:
        told = member.limits
        assert (told.connect_ms, told.first_byte_ms, told.gap_ms, told.total_ms) == (
            1000, 2000, 3000, 4000,
        )  # fmt: skip
