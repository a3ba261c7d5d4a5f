"""What to do when a model cannot be brought or opened: for each of the loader's words a field."""

from collections.abc import Callable, Mapping

from callfleet_operator.model import Engine, ProviderPoolSpec
from callfleet_operator.model.poolmodel import InferenceModel

Cure = Callable[[ProviderPoolSpec, InferenceModel], str]

_FORMS: Mapping[Engine, str] = {
    Engine.WHISPER: "a folder in CTranslate2's form",
    Engine.VOSK: "a folder in Kaldi's form",
    Engine.LLAMACPP: "a GGUF file",
    Engine.PIPER: "a folder with an .onnx and its .onnx.json, and in spec.model.file the .onnx",
    Engine.VLLM: "a folder in Hugging Face's form",
}


def cure(reason: str, spec: ProviderPoolSpec) -> str | None:
    """None for a word that the loader does not have."""
    found = _CURES.get(reason)
    return found(spec, spec.model or InferenceModel()) if found is not None else None


def _not_found(_: ProviderPoolSpec, model: InferenceModel) -> str:
    return "correct spec.model.uri" + (" or spec.model.file" if model.file is not None else "")


def _no_access(_: ProviderPoolSpec, model: InferenceModel) -> str:
    if not model.downloaded:
        return "let the pods' user read what spec.model.uri names"
    if model.credentials_secret_name is None:
        return "set spec.model.credentialsSecretName to a Secret that may read it"
    return (
        f"put into Secret {model.credentials_secret_name} of spec.model.credentialsSecretName what "
        "may read it"
    )


def _no_room(_: ProviderPoolSpec, model: InferenceModel) -> str:
    if model.cache is not None:
        return "raise spec.model.cache.size"
    return (
        "set spec.model.cache to a volume that is large enough; without one the model is on the "
        "node's disk, in ephemeral storage"
    )


def _unfit(spec: ProviderPoolSpec, _: InferenceModel) -> str:
    return (
        f"spec.engine is {spec.engine}: name {_FORMS[spec.engine]} in spec.model.uri, or create a "
        "pool with the engine that this model is for"
    )


def _same(text: str) -> Cure:
    return lambda _spec, _model: text


_CURES: Mapping[str, Cure] = {
    "NotFound": _not_found,
    "NoAccess": _no_access,
    "NoRoom": _no_room,
    "Checksum": _same("correct spec.model.checksum, or find out who changed the model"),
    "Unfit": _unfit,
    "Unreachable": _same("look at the network between the pod and the model's source"),
    "Unsupported": _same("name a model in spec.model.uri that this version can load"),
    "Invalid": _same("correct spec.model.uri"),
}
