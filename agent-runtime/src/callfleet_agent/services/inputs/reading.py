"""From a message to its model, or to what is wrong with it, field by field."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from google.protobuf.message import Message
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from callfleet_agent.services.errors import InvalidRequestError, Violation
from callfleet_agent.services.inputs.plain import PlainError, plain

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
        raise InvalidRequestError(Violation(_path(error.path), error.reason)) from None
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[:_MOST]
        violations = [Violation(_field(item), _words(item)) for item in found]
        raise InvalidRequestError(*violations) from None


def reader_of(model: type[Model]) -> Callable[[Message], Model]:
    """`read` for one model."""

    def reader(message: Message) -> Model:
        return read(model, message)

    return reader


def _path(location: tuple[int | str, ...]) -> str:
    """`append[3].content`."""
    path = ""
    for part in location:
        if isinstance(part, int) or part.isdigit():
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def _field(error: ErrorDetails) -> str:
    named = error.get("ctx", {}).get("field")
    return _path((*error["loc"], named) if named else error["loc"])


def _words(error: ErrorDetails) -> str:
    context: dict[str, Any] = error.get("ctx", {})
    if error["type"] == "wrong":
        return str(context["reason"])
    return _WORDS.get(error["type"], "is not valid").format(**context)
