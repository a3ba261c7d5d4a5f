"""From a message to its model, or to what is wrong with it, field by field."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from callfleet_agent.services.errors import InvalidRequestError, Violation
from callfleet_agent.services.inputs.plain import PlainError, path_of, plain
from callfleet_agent.services.inputs.wire import first_bad_text

Model = TypeVar("Model", bound=BaseModel)
_MOST: Final = 20
_WORDS: Final = {
    "too_long": "has more than {max_length} items",
    "string_too_short": "must not be empty",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "missing": "is required",
    "extra_forbidden": "is not known",
}


def read(model: type[Model], message: Message) -> Model:
    """The message as this model.

    Raises:
        InvalidRequestError: with each field that is wrong; no value is repeated in it.
    """
    try:
        return model.model_validate(plain(message))
    except PlainError as error:
        raise InvalidRequestError(Violation(path_of(error.path), error.reason)) from None
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[:_MOST]
        violations = [Violation(_field(item), _words(item)) for item in found]
        raise InvalidRequestError(*violations) from None


def _request_of(rpc: str) -> Descriptor | None:
    name = rpc.removeprefix("/").replace("/", ".")
    try:
        return descriptor_pool.Default().FindMethodByName(name).input_type
    except KeyError:
        return None


def reader_of(model: type[Model]) -> Callable[[Message], Model]:
    """`read` for one model."""

    def reader(message: Message) -> Model:
        return read(model, message)

    return reader


def unreadable(data: bytes, rpc: str) -> InvalidRequestError:
    """Why bytes that protobuf does not take are no request of this RPC."""
    kind = _request_of(rpc)
    path = None if kind is None else first_bad_text(data, kind)
    if path is not None:
        return InvalidRequestError(Violation(path_of(path), "is not UTF-8"))
    return InvalidRequestError(
        Violation("", "is no message of this kind, or holds text that is not UTF-8")
    )


def _field(error: ErrorDetails) -> str:
    named = error.get("ctx", {}).get("field")
    return path_of((*error["loc"], named) if named else error["loc"])


def _words(error: ErrorDetails) -> str:
    context: dict[str, Any] = error.get("ctx", {})
    if error["type"] == "wrong":
        return str(context["reason"])
    return _WORDS.get(error["type"], "is not valid").format(**context)
