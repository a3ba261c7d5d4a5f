"""Raw PCM as it comes from a server, as sound of the telephone network."""

from collections.abc import AsyncIterator

from callfleet_agent.audio import Pcm, Pcm8k
from callfleet_agent.audio.resample import SpeechResampler
from callfleet_agent.chain import Fault
from callfleet_agent.providers.errors import ProviderError


async def telephone_sound(chunks: AsyncIterator[bytes], kind: type[Pcm]) -> AsyncIterator[Pcm8k]:
    """s16le mono of this kind, cut anywhere, as 8 kHz. Raises ProviderError for half a sample."""
    resampler, rest = SpeechResampler(kind.rate, Pcm8k), b""
    async for chunk in chunks:
        data = rest + chunk
        whole = len(data) & ~1
        data, rest = data[:whole], data[whole:]
        if len(sound := resampler.process(kind(data))):
            yield sound
    if rest:
        raise ProviderError(Fault.TRUNCATED)
    if len(sound := resampler.flush()):
        yield sound
