"""What the agent can say when nobody can speak for it."""

from functools import cache
from importlib.resources import files

from callfleet_agent.audio import Pcm8k
from callfleet_agent.audio.g711 import Law, decode


@cache
def apology() -> Pcm8k:
    """An apology and a good-bye: "I am sorry, we have technical trouble and cannot go on with this
    call. Please call again later. Good bye." G.711 mu-law, spoken by espeak-ng."""
    recording = files("callfleet_agent.pipeline").joinpath("recordings_en", "apology.ulaw")
    return decode(recording.read_bytes(), Law.PCMU)
