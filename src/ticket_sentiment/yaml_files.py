"""YAML that people write, read as DVC reads it: YAML 1.2, no key twice."""

import re
from pathlib import Path
from typing import Any

import yaml

from ticket_sentiment.errors import TicketSentimentError

# What is a number or a truth value in YAML 1.2; PyYAML's own rules are those of 1.1, where `off` is false,
# `12:30` is 750, `010` is 8 and `1e-4` is text.
RESOLVED = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9][0-9_]*|0o[0-7_]+|0x[0-9a-fA-F_]+", "-+0123456789"),
    "float": (
        r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|[-+]?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's name for it
        first: [(tag, pattern) for tag, pattern in rules if tag.rpartition(":")[2] not in RESOLVED]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            line = key.start_mark.line + 1
            if key.value in lines:
                raise TicketSentimentError(
                    f"{self.name} line {line}: the key {key.value} is in line {lines[key.value]} already: "
                    "keep one of them"
                )
            lines[key.value] = line
        return node

    def construct_yaml_int(self, node: Any) -> int:
        text = self.construct_scalar(node).replace("_", "")
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)


for _name, (_pattern, _first) in RESOLVED.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


def dump_yaml(value: Any, width: int = 80) -> str:
    """What `read_yaml` reads as this value: words that it would take for numbers are quoted."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=width)


def read_yaml(path: Path, remedy: str = "correct it") -> Any:
    """What a file holds.

    Raises:
        FileNotFoundError: it is missing.
        TicketSentimentError: it is no YAML, or a key is twice in a mapping; names file, line and remedy.
    """
    return parse_yaml(path.read_bytes(), str(path), remedy)


def parse_yaml(content: bytes | str, name: str, remedy: str = "correct it") -> Any:
    """What the content of a file of this name holds; errors as `read_yaml`."""
    try:
        loader = _Loader(content if isinstance(content, str) else content.decode())
        loader.name = name
        return loader.get_single_data()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise TicketSentimentError(f"{name} is not valid YAML: {reason}: {remedy}") from None
