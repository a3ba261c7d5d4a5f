"""Nobody learns from the time that an answer takes how much of a guess was right: what proves
somebody is compared by `compare_digest`, and by nothing else."""

import ast
from pathlib import Path

import pytest

import callfleet_agent.banking

FOLDER = Path(callfleet_agent.banking.__file__).parent
PROVING = ("record.py", "demo_bank.py", "demo_codes.py")
SECRET = frozenset(
    {"credential", "credentials", "digest", "code", "digits", "pin", "birth", "last_four", "token"}
)
HASTY = (ast.Eq, ast.NotEq, ast.In, ast.NotIn, ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def words_of(node: ast.AST) -> set[str]:
    """What an expression's value is made of: variables, fields, and what methods are called of. A
    field of something secret is not it, nor is its length."""
    match node:
        case ast.Call(func=ast.Name(id="len")):
            return set()
        case ast.Name(id=word) | ast.Attribute(attr=word):
            return {word}
        case ast.Call(func=ast.Attribute(value=of), args=arguments):
            return words_of(of).union(*map(words_of, arguments))
    return set().union(*map(words_of, ast.iter_child_nodes(node)))


def is_secret(node: ast.AST) -> bool:
    return any(
        word in SECRET or word.strip("_").rpartition("_")[2] in SECRET for word in words_of(node)
    )


def hasty_lines(source: str) -> list[str]:
    """The lines where something secret is compared by an operator or by `match`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            pairs = zip(sides, node.ops, sides[1:], strict=False)
            hasty = any(
                isinstance(how, HASTY) and (is_secret(left) or is_secret(right))
                for left, how, right in pairs
            )
        else:
            hasty = isinstance(node, ast.Match) and is_secret(node.subject)
        if hasty:
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("name", PROVING)
def test_what_proves_somebody_is_compared_in_constant_time(name: str) -> None:
    source = (FOLDER / name).read_text()
    assert "compare_digest(" in source
    assert hasty_lines(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "self.digest == other.digest",
        "given != code.digits",
        "credential == wanted",
        "wanted == str(credential).encode()",
        "one.request_digest == given",
        "customer.pin in (given,)",
        "given not in {customer.last_four}",
        "0 < 1 == (code == given)",
        "(self.kind, self.digest) == (other.kind, other.digest)",
        "credential < wanted",
        "match code:\n    case '1':\n        pass",
    ],
)
def test_a_hasty_comparison_is_found(source: str) -> None:
    assert hasty_lines(source)


@pytest.mark.parametrize(
    "source",
    [
        "compare_digest(self.digest, other.digest)",
        "code is None",
        "method == 'one-time-code'",
        "len(credential) == 4",
        "now >= code.until or code.tries >= 3",
    ],
)
def test_what_tells_nothing_is_allowed(source: str) -> None:
    assert hasty_lines(source) == []
