"""Metadata and conditions: what every resource of Kubernetes carries."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from .schema import Int, ListOf, Model

NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"


class ObjectMeta(Model):
    """The part of an object's metadata that Callfleet reads; the rest is passed over."""

    model_config = ConfigDict(extra="ignore")

    name: str = Field(
        min_length=1,
        max_length=40,
        pattern=NAME_PATTERN,
        description=(
            "Name of the resource. Services and pods take their names from it: at most 40 "
            "lower-case letters, digits and dashes, starting with a letter."
        ),
    )
    namespace: str = Field(default="default", max_length=63, description="Namespace.")
    uid: str = Field(default="", max_length=64, description="Identity given by the API server.")
    generation: Int = Field(default=0, ge=0, description="Counts the changes of spec.")
    resource_version: str = Field(
        default="", max_length=64, description="Version given by the API server."
    )
    creation_timestamp: str | None = Field(
        default=None, max_length=40, description="Time of creation, RFC 3339."
    )
    deletion_timestamp: str | None = Field(
        default=None, max_length=40, description="Set when deletion was asked for, RFC 3339."
    )
    labels: dict[str, str] = Field(default_factory=dict, description="Labels.")
    annotations: dict[str, str] = Field(default_factory=dict, description="Annotations.")
    finalizers: tuple[str, ...] = Field(default=(), description="What must end before deletion.")


class Condition(Model):
    """One observation, in the form that `kubectl wait` and kstatus read."""

    type: str = Field(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Z][A-Za-z]*$",
        description="Name of the condition, for example Ready.",
    )
    status: Literal["True", "False", "Unknown"] = Field(
        description="Whether the condition holds: True, False or Unknown."
    )
    observed_generation: Int = Field(
        default=0, ge=0, description="The generation of spec for which this was observed."
    )
    last_transition_time: str = Field(
        min_length=1,
        max_length=40,
        description="When status last changed, RFC 3339.",
        json_schema_extra={"format": "date-time"},
    )
    reason: str = Field(
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        description="Why, as one word for programs.",
    )
    message: str = Field(
        default="", max_length=1024, description="Why, and what to do, as a sentence for people."
    )


Conditions = Annotated[tuple[Condition, ...], Field(max_length=16), ListOf("map", ("type",))]


def to_data(value: Model) -> dict[str, Any]:
    """Any model as plain data: camelCase, defaults filled in, no nulls."""
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


def to_manifest(resource: Model) -> dict[str, Any]:
    """A resource as plain data: camelCase, defaults of spec filled in, no nulls.

    Of the metadata only what is set stays, as in a manifest that a person wrote.
    """
    data = to_data(resource)
    data["metadata"] = resource.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, include={"metadata"}
    )["metadata"]
    return data
