"""Writes the reference page of the gRPC contract from a descriptor set with its comments."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

Comments = dict[tuple[int, ...], str]

PACKAGE = ".callfleet.v1."
HEADER = """# gRPC reference

Generated from `proto/callfleet/v1/*.proto` by `make generate`. Every request may carry a
`correlation_id`; every response has one.
"""


def comments_of(file: FileDescriptorProto) -> Comments:
    """The comment of each element, by its path in the file."""
    return {
        tuple(location.path): " ".join(location.leading_comments.split())
        for location in file.source_code_info.location
        if location.leading_comments
    }


def type_name(field: FieldDescriptorProto) -> str:
    """The field's type as one writes it in a .proto file."""
    if field.type_name:
        name = field.type_name.removeprefix(PACKAGE).removeprefix(".")
    else:
        name = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    repeated = field.label == FieldDescriptorProto.LABEL_REPEATED
    return f"repeated {name}" if repeated else name


def service_lines(
    service: ServiceDescriptorProto, path: tuple[int, ...], comments: Comments
) -> Iterator[str]:
    """A table of the service's methods."""
    yield f"### {service.name}\n"
    yield f"{comments.get(path, '')}\n"
    yield "| RPC | request | response | what it does |\n|---|---|---|---|"
    for i, method in enumerate(service.method):
        request = method.input_type.removeprefix(PACKAGE)
        response = method.output_type.removeprefix(PACKAGE)
        ways = ("stream " * method.client_streaming, "stream " * method.server_streaming)
        said = comments.get((*path, 2, i), "")
        yield f"| `{method.name}` | {ways[0]}`{request}` | {ways[1]}`{response}` | {said} |"
    yield ""


def enum_lines(
    enum: EnumDescriptorProto, path: tuple[int, ...], comments: Comments, prefix: str = ""
) -> Iterator[str]:
    """A table of the enum's values."""
    yield f"### {prefix}{enum.name}\n"
    yield f"{comments.get(path, '')}\n"
    yield "| value | number | meaning |\n|---|---|---|"
    for i, value in enumerate(enum.value):
        yield f"| `{value.name}` | {value.number} | {comments.get((*path, 2, i), '')} |"
    yield ""


def message_lines(
    message: DescriptorProto, path: tuple[int, ...], comments: Comments, prefix: str = ""
) -> Iterator[str]:
    """A table of the message's fields, and the messages and enums inside it."""
    yield f"### {prefix}{message.name}\n"
    yield f"{comments.get(path, '')}\n"
    if message.field:
        yield "| field | number | type | meaning |\n|---|---|---|---|"
    for i, field in enumerate(message.field):
        said = comments.get((*path, 2, i), "")
        yield f"| `{field.name}` | {field.number} | {type_name(field)} | {said} |"
    yield ""
    inner = f"{prefix}{message.name}."
    for i, nested in enumerate(message.nested_type):
        yield from message_lines(nested, (*path, 3, i), comments, inner)
    for i, enum in enumerate(message.enum_type):
        yield from enum_lines(enum, (*path, 4, i), comments, inner)


def file_lines(file: FileDescriptorProto) -> Iterator[str]:
    """The section of one .proto file."""
    comments = comments_of(file)
    yield f"## {Path(file.name).name}\n"
    for i, service in enumerate(file.service):
        yield from service_lines(service, (6, i), comments)
    for i, message in enumerate(file.message_type):
        yield from message_lines(message, (4, i), comments)
    for i, enum in enumerate(file.enum_type):
        yield from enum_lines(enum, (5, i), comments)


def main() -> None:
    """Reads the descriptor set named on the command line and prints the page."""
    files = FileDescriptorSet.FromString(Path(sys.argv[1]).read_bytes()).file
    lines = [HEADER]
    for file in files:
        lines.extend(file_lines(file))
    print("\n".join(lines).rstrip())


if __name__ == "__main__":
    main()
