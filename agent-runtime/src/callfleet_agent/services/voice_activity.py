"""VADService: when somebody speaks in a stream of audio."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from callfleet.v1 import common_pb2, vad_pb2
from callfleet_agent.audio.level import dbfs
from callfleet_agent.services.answers import moment
from callfleet_agent.services.engines import Ears
from callfleet_agent.services.inputs import reader_of
from callfleet_agent.services.inputs.speech import Chunk, VadSettings
from callfleet_agent.services.preferences import Preferences
from callfleet_agent.services.shared_choices import SharedChoices
from callfleet_agent.services.sound import Inward
from callfleet_agent.services.speech_gate import GateSettings, GateState, SpeechGate

NAME: Final = "callfleet.v1.VADService"
READERS: Final = {
    f"/{NAME}/ProcessAudio": reader_of(Chunk),
    f"/{NAME}/Configure": reader_of(VadSettings),
}
_STATES: Final[dict[Any, Any]] = {
    GateState.QUIET: vad_pb2.VAD_STATE_QUIET,
    GateState.STARTING: vad_pb2.VAD_STATE_STARTING,
    GateState.SPEAKING: vad_pb2.VAD_STATE_SPEAKING,
    GateState.STOPPING: vad_pb2.VAD_STATE_STOPPING,
}


def applied(message: str) -> common_pb2.ConfigurationResponse:
    """New settings are in force."""
    return common_pb2.ConfigurationResponse(
        applied=True, message=message, effective_at=moment(datetime.now(UTC))
    )


class VoiceActivityService:
    """Both RPCs."""

    def __init__(self, ears: Ears, shared: SharedChoices | None = None) -> None:
        self._ears = ears
        self._settings = Preferences(
            "vad", GateSettings(), lambda kept: GateSettings(**kept), shared
        )

    async def ProcessAudio(  # noqa: N802
        self, chunks: AsyncIterator[Chunk], _: Any
    ) -> AsyncIterator[vad_pb2.VADResult]:
        """A result for each window."""
        ear, inward = self._ears.new(), Inward()
        gate: SpeechGate | None = None
        position_ms = 0
        async for chunk in chunks:
            if gate is None:
                settings = await self._settings.of(chunk.session_id)
                gate = SpeechGate(settings, self._ears.window_ms)
            sound = inward.take(chunk)
            level = dbfs(sound) if len(sound) else -96.0
            for probability in ear.feed(sound):
                position_ms += self._ears.window_ms
                yield vad_pb2.VADResult(
                    state=_STATES[gate.feed(probability, level)],
                    confidence=probability,
                    timestamp=position_ms * 1000,
                    level_dbfs=level,
                )

    async def Configure(  # noqa: N802
        self, given: VadSettings, _: Any
    ) -> common_pb2.ConfigurationResponse:
        """Change thresholds for streams that begin from now on."""
        former = await self._settings.of(given.session_id)
        chosen = replace(
            former,
            confidence=given.confidence_threshold or former.confidence,
            start_ms=given.start_milliseconds or former.start_ms,
            stop_ms=given.stop_milliseconds or former.stop_ms,
            floor_dbfs=given.minimum_level_dbfs or former.floor_dbfs,
        )
        await self._settings.choose(given.session_id, chosen)
        return applied("for streams that begin from now on")
