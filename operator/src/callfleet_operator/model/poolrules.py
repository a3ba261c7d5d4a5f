"""What a ProviderPool may not say: rules over several fields of its spec."""

from collections.abc import Callable

from .engines import EMBEDDED, HOSTED, PUBLIC, SPEAKING, STAGES, WITH_GPU, Engine
from .poolmodel import InferenceModel
from .schema import Rule


def _cel_list(engines: tuple[Engine, ...]) -> str:
    return "[" + ", ".join(f"'{engine}'" for engine in engines) + "]"


def _external_has_no(field: str, attribute: str) -> Rule:
    return Rule(
        cel=f"!has(self.external) || !has(self.{field})",
        message="has no meaning with external, whose server somebody else runs; remove it",
        field_path=f".{field}",
        holds=lambda p: p.external is None or getattr(p, attribute) is None,
        reason="FieldValueForbidden",
    )


def _fits(
    engines: tuple[Engine, ...], cel: str, message: str, fits: Callable[[InferenceModel], bool]
) -> Rule:
    """A rule on model.uri for some engines that we run."""
    return Rule(
        cel=(
            f"!(self.engine in {_cel_list(engines)}) || has(self.external) || !has(self.model) "
            f"|| !has(self.model.uri) || {cel}"
        ),
        message=message,
        field_path=".model",
        holds=lambda p: (
            p.engine not in engines
            or p.external is not None
            or p.model is None
            or p.model.uri is None
            or fits(p.model)
        ),
    )


def _embedded_has_no(field: str, attribute: str) -> Rule:
    return Rule(
        cel=f"!(self.engine in {_cel_list(EMBEDDED)}) || !has(self.{field})",
        message=f"has no meaning for an engine that runs inside the agent; remove {field}",
        field_path=f".{field}",
        holds=lambda p: p.engine not in EMBEDDED or getattr(p, attribute) is None,
        reason="FieldValueForbidden",
    )


def _opens(ending: str) -> str:
    """CEL: the engine opens one file with this ending."""
    return (
        f"self.model.uri.matches('[.]{ending}(@[^@]*)?$') || "
        f"(has(self.model.file) && self.model.file.endsWith('.{ending}'))"
    )


_ONE_STAGE = {engine: stages[0] for engine, stages in STAGES.items() if len(stages) == 1}


RULES: tuple[Rule, ...] = (
    Rule(
        cel="self.engine == oldSelf.engine",
        message="cannot be changed; create another ProviderPool and name that one",
        field_path=".engine",
        reason="FieldValueForbidden",
    ),
    Rule(
        cel="self.engine != 'vllm' || has(self.stage)",
        message="is needed for vllm, which can do several; set stage to llm or asr",
        field_path=".stage",
        holds=lambda p: p.engine is not Engine.VLLM or p.stage is not None,
        reason="FieldValueRequired",
    ),
    Rule(
        cel="self.engine != 'vllm' || !has(self.stage) || self.stage in ['llm', 'asr']",
        message="must be llm or asr for vllm",
        field_path=".stage",
        holds=lambda p: (
            p.engine is not Engine.VLLM or p.stage is None or p.stage in STAGES[Engine.VLLM]
        ),
    ),
    Rule(
        cel="self.engine != 'openai' || !has(self.stage) || self.stage in ['llm', 'asr', 'tts']",
        message="must be llm, asr or tts for openai",
        field_path=".stage",
        holds=lambda p: (
            p.engine is not Engine.OPENAI or p.stage is None or p.stage in STAGES[Engine.OPENAI]
        ),
    ),
    Rule(
        cel=(
            "!has(self.stage) || self.engine in ['vllm', 'openai'] || self.stage == {"
            + ", ".join(f"'{engine}': '{stage}'" for engine, stage in _ONE_STAGE.items())
            + "}[self.engine]"
        ),
        message="is not what this engine does; remove stage, or choose another engine",
        field_path=".stage",
        holds=lambda p: p.stage is None or p.stage is _ONE_STAGE.get(p.engine, p.stage),
    ),
    Rule(
        cel=f"!(self.engine in {_cel_list(HOSTED)}) || has(self.external)",
        message="is needed for a service; set external.baseUrl and external.secretRef",
        field_path=".external",
        holds=lambda p: p.engine not in HOSTED or p.external is not None,
        reason="FieldValueRequired",
    ),
    Rule(
        cel=("self.engine != 'elevenlabs' || !has(self.external) || has(self.external.secretRef)"),
        message="elevenlabs answers nobody without an API key; set external.secretRef",
        field_path=".external",
        holds=lambda p: (
            p.engine is not Engine.ELEVENLABS
            or p.external is None
            or p.external.secret_ref is not None
        ),
        reason="FieldValueRequired",
    ),
    Rule(
        cel=(
            f"self.engine in {_cel_list(EMBEDDED + HOSTED)} || has(self.external) "
            "|| (has(self.model) && has(self.model.uri))"
        ),
        message=(
            "this engine needs a model; set model.uri, or external when somebody else "
            "runs the server"
        ),
        field_path=".model",
        holds=lambda p: (
            p.engine in EMBEDDED + HOSTED
            or p.external is not None
            or (p.model is not None and p.model.uri is not None)
        ),
        reason="FieldValueRequired",
    ),
    _embedded_has_no("model", "model"),
    _embedded_has_no("external", "external"),
    _embedded_has_no("resources", "resources"),
    _embedded_has_no("scaling", "scaling"),
    _external_has_no("resources", "resources"),
    _external_has_no("scaling", "scaling"),
    _external_has_no("image", "image"),
    _external_has_no("profile", "profile"),
    _embedded_has_no("image", "image"),
    _embedded_has_no("profile", "profile"),
    _embedded_has_no("budget", "budget"),
    Rule(
        cel=f"!has(self.voice) || self.engine in {_cel_list(SPEAKING)}",
        message="is for engines that speak (" + ", ".join(SPEAKING) + "); remove voice",
        field_path=".voice",
        holds=lambda p: p.voice is None or p.engine in SPEAKING,
        reason="FieldValueForbidden",
    ),
    Rule(
        cel="!has(self.tensorParallelSize) || self.engine == 'vllm'",
        message="is for vllm only; remove tensorParallelSize",
        field_path=".tensorParallelSize",
        holds=lambda p: p.tensor_parallel_size is None or p.engine is Engine.VLLM,
        reason="FieldValueForbidden",
    ),
    Rule(
        cel=(
            "!has(self.tensorParallelSize) || (has(self.resources) && "
            "has(self.resources.gpu) && "
            "self.resources.gpu.count >= self.tensorParallelSize) || has(self.profile) "
            "|| self.engine != 'vllm'"
        ),
        message="needs that many GPUs; set resources.gpu.count to at least this number",
        field_path=".tensorParallelSize",
        holds=lambda p: (
            p.tensor_parallel_size is None
            or p.engine is not Engine.VLLM
            or p.profile is not None
            or p.gpu_count >= p.tensor_parallel_size
        ),
    ),
    Rule(
        cel=(
            "!has(self.tensorParallelSize) || !has(self.resources) || "
            "!has(self.resources.gpu) || "
            "self.resources.gpu.count % self.tensorParallelSize == 0"
        ),
        message=(
            "does not divide resources.gpu.count; set one to a multiple of the other, or "
            "remove tensorParallelSize to use all GPUs"
        ),
        field_path=".tensorParallelSize",
        holds=lambda p: p.tensor_parallel_size is None or p.gpu_count % p.tensor_parallel_size == 0,
    ),
    Rule(
        cel="!has(self.nodes) || self.engine == 'vllm'",
        message="is for vllm only; remove nodes",
        field_path=".nodes",
        holds=lambda p: p.nodes is None or p.engine is Engine.VLLM,
        reason="FieldValueForbidden",
    ),
    Rule(
        cel="!has(self.nodes) || (self.replicas <= 1 && !has(self.scaling))",
        message="makes one server of several pods; set replicas to 1 and remove scaling",
        field_path=".nodes",
        holds=lambda p: p.nodes is None or (p.replicas <= 1 and p.scaling is None),
    ),
    Rule(
        cel=f"size(self.extraArgs) == 0 || self.engine in {_cel_list(PUBLIC)}",
        message="is for " + ", ".join(PUBLIC) + "; remove extraArgs",
        field_path=".extraArgs",
        holds=lambda p: not p.extra_args or p.engine in PUBLIC,
        reason="FieldValueForbidden",
    ),
    Rule(
        cel="self.speed >= 0.5 && self.speed <= 2.0",
        message="must be from 0.5 to 2",
        field_path=".speed",
        holds=lambda p: 0.5 <= p.speed <= 2.0,
    ),
    _fits(
        (Engine.LLAMACPP,),
        _opens("gguf"),
        "llamacpp opens one GGUF file; let model.uri or model.file end with .gguf",
        lambda model: model.names(".gguf"),
    ),
    _fits(
        (Engine.PIPER,),
        _opens("onnx"),
        "piper opens one ONNX voice; let model.uri or model.file end with .onnx",
        lambda model: model.names(".onnx"),
    ),
    _fits(
        (Engine.VLLM, Engine.WHISPER, Engine.VOSK),
        "!self.model.uri.matches('[.](gguf|onnx|bin|safetensors)(@[^@]*)?$')",
        "this engine opens a folder; let model.uri name the folder and not one file in it",
        lambda model: not model.names(".gguf", ".onnx", ".bin", ".safetensors"),
    ),
    Rule(
        cel=(
            "!has(self.resources) || !has(self.resources.gpu) "
            f"|| self.engine in {_cel_list(WITH_GPU)}"
        ),
        message="gpu is for " + ", ".join(WITH_GPU) + "; remove resources.gpu",
        field_path=".resources",
        holds=lambda p: p.gpu_count == 0 or p.engine in WITH_GPU + EMBEDDED,
        reason="FieldValueForbidden",
    ),
)
