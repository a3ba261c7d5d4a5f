"""Manifests from text or data, with refusals that a person can act on."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from .errors import FieldProblem, ManifestError
from .providerpool import ProviderPool
from .schema import Model
from .voiceagent import VoiceAgent

T = TypeVar("T", bound=BaseModel)


def load_voice_agent(source: str | Mapping[str, Any]) -> VoiceAgent:
    """A VoiceAgent from YAML text or plain data. Raises ManifestError."""
    return load(VoiceAgent, source)


def load_provider_pool(source: str | Mapping[str, Any]) -> ProviderPool:
    """A ProviderPool from YAML text or plain data. Raises ManifestError."""
    return load(ProviderPool, source)


def load(model: type[T], source: str | Mapping[str, Any]) -> T:
    """Any of the models from YAML text or plain data. Raises ManifestError."""
    name = model.__name__
    data = _parse(name, source) if isinstance(source, str) else source
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = (_problem(model, item) for item in error.errors(include_url=False))
        raise ManifestError(name, tuple(problems)) from None


def _parse(name: str, text: str) -> Any:
    try:
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the text"
        problem = FieldProblem(where, "text that is no YAML", "write valid YAML here")
        raise ManifestError(name, (problem,)) from None
    except yaml.YAMLError:
        problem = FieldProblem("the text", "a character that YAML forbids", "remove it")
        raise ManifestError(name, (problem,)) from None
    if not isinstance(data, Mapping):
        problem = FieldProblem("the document", kind_of(data), f"write one {name} as a mapping")
        raise ManifestError(name, (problem,))
    return data


def kind_of(value: object) -> str:
    """What kind of value this is, without saying the value."""
    names: tuple[tuple[type, str], ...] = (
        (bool, "true or false"),
        (int, "a whole number"),
        (float, "a number"),
        (Mapping, "a mapping"),
    )
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"text of {len(value)} characters"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    return next((name for kind, name in names if isinstance(value, kind)), "an unknown kind")


def _problem(model: type[BaseModel], error: ErrorDetails) -> FieldProblem:
    context = error.get("ctx", {})
    path = field_path(error["loc"])
    if error["type"] == "rule":
        path = (path + context["field_path"]).lstrip(".")
        return FieldProblem(path, "values that do not fit together", context["message"])
    if error["type"] == "duplicate":
        return FieldProblem(f"{path}[{context['position']}]", "an equal item", error["msg"])
    found = "nothing" if error["type"] == "missing" else kind_of(error["input"])
    return FieldProblem(path or "the document", found, _advice(model, error, context))


def field_path(location: Iterable[str | int]) -> str:
    """`spec.sip.numbers[0]` from pydantic's location."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path += f".{part}" if path else part
    return path


_ADVICE: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is required; add it",
    "enum": lambda c: f"must be {c['expected']}",
    "literal_error": lambda c: f"must be {c['expected']}",
    "string_type": lambda _: "must be text; put it in quotes",
    "int_type": lambda _: "must be a whole number without quotes",
    "float_type": lambda _: "must be a number without quotes",
    "bool_type": lambda _: "must be true or false without quotes",
    "tuple_type": lambda _: "must be a list",
    "dict_type": lambda _: "must be a mapping",
    "model_type": lambda _: "must be a mapping of fields",
    "string_pattern_mismatch": lambda c: f"must match {c['pattern']}",
    "string_too_short": lambda c: f"must have at least {c['min_length']} characters",
    "string_too_long": lambda c: f"must have at most {c['max_length']} characters",
    "too_short": lambda c: f"must have at least {c['min_length']} items",
    "too_long": lambda c: f"must have at most {c['max_length']} items",
    "greater_than_equal": lambda c: f"must be {c['ge']} or more",
    "less_than_equal": lambda c: f"must be {c['le']} or less",
}


def _advice(model: type[BaseModel], error: ErrorDetails, context: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return _unknown_field(model, error["loc"])
    if error["type"] in _ADVICE:
        return _ADVICE[error["type"]](context)
    return error["msg"]


def _unknown_field(model: type[BaseModel], location: tuple[str | int, ...]) -> str:
    name = str(location[-1])
    near = difflib.get_close_matches(name, sorted(_known_fields(model)), n=1)
    hint = f"; is {near[0]} meant?" if near else ""
    return f"is no field of {model.__name__} here; remove it{hint}"


def _known_fields(model: type[BaseModel]) -> set[str]:
    names: set[str] = set()
    pending: list[object] = [model]
    seen: set[object] = set()
    while pending:
        item = pending.pop()
        if item in seen:
            continue
        seen.add(item)
        if isinstance(item, type) and issubclass(item, BaseModel):
            for name, field in item.model_fields.items():
                names.add(field.alias or name)
                pending.append(field.annotation)
        else:
            pending.extend(getattr(item, "__args__", ()))
    return names


__all__ = ["Model", "field_path", "kind_of", "load", "load_provider_pool", "load_voice_agent"]
