"""A stream's chunks as sound of the pipeline, and back: 8 kHz inside, what was agreed outside."""

from typing import Final

from callfleet_agent.audio import Pcm, Pcm8k, Pcm16k, Pcm22k, Pcm24k, Pcm48k
from callfleet_agent.audio.g711 import Law, decode, encode
from callfleet_agent.audio.resample import Downsampler16to8, SpeechResampler, Upsampler8to16
from callfleet_agent.services.errors import InvalidRequestError, Violation
from callfleet_agent.services.inputs.speech import PCMA, PCMU, Chunk


class Pcm44k(Pcm):
    """What compact discs have, 44.1 kHz."""

    __slots__ = ()
    rate = 44100


KINDS: Final[dict[int, type[Pcm]]] = {
    kind.rate: kind for kind in (Pcm8k, Pcm16k, Pcm22k, Pcm24k, Pcm44k, Pcm48k)
}
_LAWS: Final = {PCMU: Law.PCMU, PCMA: Law.PCMA}


class Inward:
    """Chunks of one stream as 8 kHz. The first chunk settles format and rate."""

    def __init__(self) -> None:
        self._agreed: tuple[str, int] | None = None
        self._next = 0
        self._halving = Downsampler16to8()
        self._resampler: SpeechResampler[Pcm8k] | None = None

    def take(self, chunk: Chunk) -> Pcm8k:
        """The sound of a chunk, or what of it is certain.

        Raises:
            InvalidRequestError: the chunk does not continue the stream.
        """
        self._check(chunk)
        if chunk.format in _LAWS:
            return decode(chunk.audio_data, _LAWS[chunk.format])
        if chunk.sample_rate == Pcm8k.rate:
            return Pcm8k(chunk.audio_data)
        if chunk.sample_rate == Pcm16k.rate:
            return self._halving.process(Pcm16k(chunk.audio_data))
        if self._resampler is None:
            self._resampler = SpeechResampler(chunk.sample_rate, Pcm8k)
        return self._resampler.process(KINDS[chunk.sample_rate](chunk.audio_data))

    def _check(self, chunk: Chunk) -> None:
        terms = (chunk.format, chunk.sample_rate)
        if self._agreed is None:
            self._agreed = terms
        if chunk.format != self._agreed[0]:
            raise InvalidRequestError(Violation("format", "changes within the stream"))
        if chunk.sample_rate != self._agreed[1]:
            raise InvalidRequestError(Violation("sample_rate", "changes within the stream"))
        if chunk.sequence_number not in {0, self._next}:  # a client need not count
            raise InvalidRequestError(Violation("sequence_number", "leaves a gap"))
        self._next += 1


class Outward:
    """8 kHz as what the client wants."""

    def __init__(self, form: str, rate: int) -> None:
        self._law = _LAWS.get(form)
        self._rate = rate
        self._doubling = Upsampler8to16()
        kind = KINDS[rate]
        self._resampler = (
            None if rate in {Pcm8k.rate, Pcm16k.rate} else SpeechResampler(Pcm8k.rate, kind)
        )

    def take(self, sound: Pcm8k) -> bytes:
        """The next bytes."""
        if self._law is not None:
            return encode(sound, self._law)
        if self._rate == Pcm8k.rate:
            return sound.data
        if self._resampler is None:
            return self._doubling.process(sound).data
        return self._resampler.process(sound).data

    def rest(self) -> bytes:
        """What a filter still holds."""
        return b"" if self._resampler is None else self._resampler.flush().data
