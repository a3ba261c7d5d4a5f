"""Engines for servers of speech whose answers are written down."""

from collections.abc import Iterator

from callfleet_agent.audio import Pcm, Pcm16k, Pcm22k
from callfleet_agent.services.speech.ports import Understood


class FakeRecogniser:
    """Understands how many samples there were."""

    language = "en"
    version = "fake 1"

    def __init__(self, text: str | None = None) -> None:
        self.text = text
        self.samples = 0
        self.closed = False

    def begin(self) -> "FakeRecogniser":
        return FakeRecogniser(self.text)

    def partial(self, sound: Pcm16k) -> str | None:
        self.samples += len(sound)
        return f"{self.samples} so far" if self.samples else None

    def final(self) -> Understood:
        return Understood(f"{self.samples}" if self.text is None else self.text, 0.5)

    def close(self) -> None:
        self.closed = True


class FakeVoice:
    """Half a second of silence for a text; `broken` speaks no more."""

    version = "fake 2"

    def __init__(self, *, mute: bool = False) -> None:
        self.mute = mute
        self.broken = False

    def speak(self, text: str, speed: float) -> Iterator[Pcm]:
        if self.broken:
            raise RuntimeError("it is broken")
        yield Pcm22k.silence(0 if self.mute else int(11025 / speed))

    def close(self) -> None:
        """Nothing to give back."""
