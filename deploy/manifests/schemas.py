"""Strict validation: an unknown kind, an unknown field or a wrong type is an error.

The schemas lie in schemas/, each with its source and licence; scripts/kubernetes-schemas writes them. They do
not hold the rules that an API server keeps in CEL or in Go, such as which fields exclude each other.
"""

import json
from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from deploy.manifests.render import Object, name_of

SCHEMAS = Path(__file__).with_name("schemas")


@cache
def _validators() -> dict[str, Draft202012Validator]:
    kinds: dict[str, str] = {}
    definitions: dict[str, Object] = {}
    for path in SCHEMAS.glob("*.json"):
        held = json.loads(path.read_text(encoding="utf-8"))
        kinds |= held["kinds"]
        definitions |= held["$defs"]
    return {
        kind: Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions})
        for kind, name in kinds.items()
    }


def _text(error: ValidationError) -> str:
    where = ".".join(str(part) for part in error.absolute_path)
    return f"{where}: {error.message}" if where else error.message


def errors(item: Object) -> list[str]:
    """What is wrong with an object, field by field."""
    kind = f"{item.get('apiVersion')} {item.get('kind')}"
    validator = _validators().get(kind)
    if validator is None:
        return [f"{name_of(item)}: no schema for {kind}: add it to scripts/kubernetes-schemas"]
    found = (best_match([error]) or error for error in validator.iter_errors(item))
    return [f"{name_of(item)}: {_text(error)}" for error in found]
