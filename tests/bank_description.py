"""docs/reference/bank-openapi.yaml as something that requests and answers are checked against."""

import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

FILE = Path(__file__).parents[1] / "docs" / "reference" / "bank-openapi.yaml"
_URI = "urn:bank"


@cache
def description() -> dict[str, Any]:
    """The whole document."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def resolved(part: Any) -> Any:
    """What a part is, behind its reference."""
    while isinstance(part, dict) and set(part) == {"$ref"}:
        target: Any = description()
        for name in part["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        part = target
    return part


@cache
def _registry() -> Any:
    document: Any = Resource.from_contents(description(), DRAFT202012)
    return Registry().with_resource(_URI, document)


def problems(part: Any, value: Any) -> list[str]:
    """What is wrong with a value, by a part of the document that has a schema."""
    text = json.dumps(part["schema"]).replace('"#/', f'"{_URI}#/')
    checking = Draft202012Validator(
        json.loads(text), registry=_registry(), format_checker=FormatChecker()
    )
    return [error.message for error in checking.iter_errors(value)]


class Checked:
    """Every request and answer of a conversation with a bank; `seen` are (operation, status)."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, int]] = set()
        self.problems: list[str] = []

    def look(
        self, method: str, path: str, headers: Any, body: bytes, status: int, answer: bytes
    ) -> None:
        """One request and its answer; the path with its query."""
        address = urlsplit(path)
        path = address.path
        operation, values = self._operation(method, path)
        values |= dict(parse_qsl(address.query))
        if operation is None:
            self.problems.append(f"{method} {path} is not described")
            return
        name, response = operation["operationId"], operation["responses"].get(str(status))
        self.seen.add((name, status))
        if response is None:
            self.problems.append(f"{name}: {status} is not described")
            return
        found = [] if status >= 400 else self._of_request(operation, values, headers, body)
        media = resolved(response).get("content", {}).get("application/json")
        if media is not None:
            found += problems(media, json.loads(answer))
        self.problems += [f"{name} {status}: {problem}" for problem in found]

    def _operation(self, method: str, path: str) -> tuple[dict[str, Any] | None, dict[str, str]]:
        parts = path.split("/")
        for template, operations in description()["paths"].items():
            wanted = template.split("/")
            values = {
                want[1:-1]: part
                for want, part in zip(wanted, parts, strict=False)
                if want.startswith("{")
            }
            same = len(wanted) == len(parts) and all(
                want == part or want.startswith("{")
                for want, part in zip(wanted, parts, strict=True)
            )
            if same and method.lower() in operations:
                return operations[method.lower()], values
        return None, {}

    def _of_request(
        self, operation: dict[str, Any], values: dict[str, str], headers: Any, body: bytes
    ) -> list[str]:
        found = []
        for parameter in map(resolved, operation.get("parameters", ())):
            name = parameter["name"]
            given = headers.get(name) if parameter["in"] == "header" else values.get(name)
            if given is None and parameter["required"]:
                found.append(f"{name} is missing")
            elif given is not None:
                found += problems(parameter, given)
        wanted = operation.get("requestBody")
        if wanted is None:
            return found + (["a body that nobody wants"] if body else [])
        return found + problems(wanted["content"]["application/json"], json.loads(body))
