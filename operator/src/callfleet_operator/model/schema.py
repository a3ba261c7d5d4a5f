"""The ground on which the models of resources stand: fields, list types, rules.

A rule is written twice in one place, as CEL for the API server and as a Python predicate for
everything that reads a manifest without one, so that both refuse the same manifests. A test
applies the same bad manifests to both.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

Reason = Literal[
    "FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate"
]


@dataclass(frozen=True)
class Rule:
    """A rule over several fields of one object.

    `cel` is what the API server evaluates; `holds` says the same of a model. A rule that compares
    with the former object (`oldSelf` in its CEL) has no `holds`: a file has no former object.
    `field_path` starts with a dot and is relative to the object that carries the rule.
    """

    cel: str
    message: str
    field_path: str
    holds: Callable[[Any], bool] | None = None
    reason: Reason = "FieldValueInvalid"

    def as_validation(self) -> dict[str, str]:
        """The entry of `x-kubernetes-validations`."""
        return {
            "fieldPath": self.field_path,
            "message": self.message,
            "reason": self.reason,
            "rule": self.cel,
        }


def _complete_schema(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Add to pydantic's JSON Schema the rules and the defaults that come from a factory.

    Such a default is an object or a map. It is written out in full: the API server tries rules
    on a default before it fills in the defaults below.
    """
    rules: tuple[Rule, ...] = getattr(model, "rules", ())
    if rules:
        schema["x-kubernetes-validations"] = [rule.as_validation() for rule in rules]
    for name, field in model.model_fields.items():
        if field.default_factory is not None:
            default = field.get_default(call_default_factory=True, validated_data={})
            if isinstance(default, BaseModel):
                default = default.model_dump(mode="json", by_alias=True, exclude_none=True)
            schema["properties"][field.alias or name]["default"] = default


class Model(BaseModel):
    """An object of a manifest: frozen, camelCase outside, no unknown fields.

    As in the API server, a null counts as a field that is not there.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        json_schema_extra=_complete_schema,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: item for name, item in value.items() if item is not None}
        return value

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        for rule in self.rules:
            if rule.holds is not None and not rule.holds(self):
                raise PydanticCustomError(
                    "rule", "{message}", {"message": rule.message, "field_path": rule.field_path}
                )
        return self


@dataclass(frozen=True)
class ListOf:
    """How server-side apply merges a list: as a set, as a map by `keys`, or as one value.

    Sets and maps refuse two equal items, as the API server does.
    """

    kind: Literal["set", "map", "atomic"]
    keys: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        inner = handler(source)
        if self.kind == "atomic":
            return inner
        return core_schema.no_info_after_validator_function(self._refuse_duplicates, inner)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        result = handler(schema)
        result["x-kubernetes-list-type"] = self.kind
        if self.keys:
            result["x-kubernetes-list-map-keys"] = [to_camel(key) for key in self.keys]
        return result

    def _refuse_duplicates(self, items: Sequence[Any]) -> Sequence[Any]:
        seen: set[Hashable] = set()
        for position, item in enumerate(items):
            identity = tuple(getattr(item, key) for key in self.keys) if self.keys else item
            if identity in seen:
                raise PydanticCustomError(
                    "duplicate",
                    "is there twice; remove one of the two",
                    {"position": position},
                )
            seen.add(identity)
        return items


@dataclass(frozen=True)
class _IntOrString:
    """A quantity: the API server takes `2` as well as `"2"`; the model keeps text."""

    pattern: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._as_text, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"x-kubernetes-int-or-string": True, "pattern": self.pattern, "maxLength": 32}

    @staticmethod
    def _as_text(value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Int = Annotated[int, Strict()]
Float = Annotated[float, Strict()]
Bool = Annotated[bool, Strict()]

_DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_QUANTITY = r"^[0-9]{1,15}(\.[0-9]{1,9})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
_QUALIFIED_NAME = (
    r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
_LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
_HTTP_URL = r"^https?://[A-Za-z0-9.\[\]:-]+(/[^\s@]*)?$"

DnsLabel = Annotated[str, Field(min_length=1, max_length=63, pattern=_DNS_LABEL)]
DnsSubdomain = Annotated[str, Field(min_length=1, max_length=253, pattern=_DNS_SUBDOMAIN)]
QualifiedName = Annotated[str, Field(min_length=1, max_length=317, pattern=_QUALIFIED_NAME)]
LabelValue = Annotated[str, Field(max_length=63, pattern=_LABEL_VALUE)]
# No user or password may stand in a URL: those belong in a Secret.
HttpUrl = Annotated[str, Field(min_length=10, max_length=512, pattern=_HTTP_URL)]
Quantity = Annotated[str, Field(max_length=32, pattern=_QUANTITY), _IntOrString(_QUANTITY)]
