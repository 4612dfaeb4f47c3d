"""Load and check the documents that cross a boundary: YAML and JSON against ``schemas/*.schema.json``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from lanner.config import bundled_root
from lanner.errors import ConfigurationError


@cache
def validator(name: str) -> Draft202012Validator:
    """The compiled validator of ``schemas/<name>.schema.json``."""
    path = bundled_root() / "schemas" / f"{name}.schema.json"
    return Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


def check(document: Any, schema: str, source: str, text: str | None = None) -> None:
    """Raise ConfigurationError unless ``document`` fits ``schema``.

    ``source`` names the file for people; ``text`` is its YAML or JSON text, used to find the line.
    """
    error = best_match(validator(schema).iter_errors(document))
    if error is None:
        return
    error = _meant(error)
    path = _field_path(error)
    line = _line(text, path) if text else None
    where = f"{source}, line {line}" if line else source
    name = ".".join(str(part) for part in path) or "the document"
    raise ConfigurationError(f"{where}: {name}: {error.message}; see schemas/{schema}.schema.json")


def load_yaml(path: Path, schema: str) -> dict[str, Any]:
    """Read a YAML file and check it; errors name the file, the line and the field."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}; check the path") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    try:
        document = yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ConfigurationError(f"{path}{line}: not valid YAML: {problem}; correct that line") from None
    check(document, schema, str(path), text)
    assert isinstance(document, dict)
    return document


def dump_yaml(document: Any) -> str:
    """YAML text of a document, keys in their order, for people to read and edit."""
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    return text


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is not a text", problem_mark=key_node.start_mark)
            if key_node.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key_node.value!r} is given twice", problem_mark=key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def _meant(error: ValidationError) -> ValidationError:
    """Of alternatives that a constant tells apart, the error in the one that was meant; else ``error``."""
    if error.validator not in ("oneOf", "anyOf"):
        return error
    branches: dict[str | int, list[ValidationError]] = {}
    for each in error.context or ():
        branches.setdefault(each.schema_path[0], []).append(each)
    constants = [[each for each in found if each.validator == "const"] for found in branches.values()]
    meant = [found for found, fixed in zip(branches.values(), constants, strict=True) if not fixed]
    if len(meant) == 1:
        best = best_match(iter(meant[0]))
        return error if best is None else _meant(best)
    if constants and not meant:  # none of the names that would choose one
        wrong = constants[0][0]
        names = ", ".join(repr(fixed[0].validator_value) for fixed in constants)
        wrong.message = f"{wrong.instance!r} is not one of {names}"
        return wrong
    return error


def _field_path(error: ValidationError) -> list[str | int]:
    path = list(error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        unknown = [key for key in error.instance if key not in known]
        path += unknown[:1]
    return path


def _line(text: str, path: Sequence[str | int]) -> int | None:
    """Line of the deepest node of ``path`` that exists in the YAML (or JSON) text, from 1."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    if node is None:
        return None
    line: int = node.start_mark.line + 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            match = [(key, value) for key, value in node.value if key.value == str(part)]
            if not match:
                break
            line, node = match[0][0].start_mark.line + 1, match[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line
