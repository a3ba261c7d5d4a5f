"""The models of Callfleet's resources and of the operator's settings.

This package owns what a VoiceAgent and a ProviderPool may say: fields, bounds, defaults and rules.
The CRDs are generated from it (`model.crd`), and whatever reads a manifest without an API server
reads it through `load_voice_agent`. It needs pydantic and PyYAML, and nothing else.
"""

from .dialog import AuthenticationMethod
from .engines import Engine, Hosting, Stage
from .errors import FieldProblem, ManifestError
from .live import ChainMember, LiveProviders, load_live_providers
from .load import load_provider_pool, load_voice_agent
from .meta import Condition, ObjectMeta
from .platform import CertManagerIssuer, IdentitySettings, PlatformSettings
from .providerpool import (
    ProviderPool,
    ProviderPoolSpec,
    ProviderPoolStatus,
)
from .settings import OperatorSettings, ProxySettings, load_settings, read_settings
from .voiceagent import (
    API_VERSION,
    Codec,
    Media,
    RolloutStrategy,
    SipStatus,
    Transport,
    VoiceAgent,
    VoiceAgentSpec,
    VoiceAgentStatus,
)

__all__ = [
    "API_VERSION",
    "AuthenticationMethod",
    "CertManagerIssuer",
    "ChainMember",
    "Codec",
    "Condition",
    "Engine",
    "FieldProblem",
    "Hosting",
    "IdentitySettings",
    "LiveProviders",
    "ManifestError",
    "Media",
    "ObjectMeta",
    "OperatorSettings",
    "PlatformSettings",
    "ProviderPool",
    "ProviderPoolSpec",
    "ProviderPoolStatus",
    "ProxySettings",
    "RolloutStrategy",
    "SipStatus",
    "Stage",
    "Transport",
    "VoiceAgent",
    "VoiceAgentSpec",
    "VoiceAgentStatus",
    "load_live_providers",
    "load_provider_pool",
    "load_settings",
    "load_voice_agent",
    "read_settings",
]
