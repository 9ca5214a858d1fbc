"""The yaml that comes with CosyVoice's weights, read without running it, and what it describes, built.

Upstream reads it with hyperpyyaml, which calls whatever the file names. Here a file may name classes and functions of a
few packages, and nothing is called before somebody asks for one of its entries. Knows no model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.types import BadInput

# Whoever else a yaml names is refused: the weights' folder is not a program.
PACKAGES = ("cosyvoice.", "matcha.", "omegaconf.DictConfig", "whisper.tokenizer.")
# What upstream's reader takes for a number and PyYAML, which follows the older standard, for a word.
_EXPONENT = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+")
_REFERENCE = re.compile(r"<(\w+)>")


@dataclass(frozen=True)
class Call:
    """`!new:path` or `!name:path`: something of `path` with these arguments. `partial` ones wait to be called."""

    path: str
    arguments: Mapping[str, Any]
    partial: bool


@dataclass(frozen=True)
class _Reference:
    text: str


def read(path: Path) -> dict[str, Any]:
    """The entries of a yaml; `!ref`s are resolved, calls are `Call`s. Raises BadInput for what cannot be read."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # the library has no types
        """Knows the tags; a class of its own, so that nobody else's loader learns them."""

    def called(partial: bool) -> Callable[[Any, str, Any], Call]:
        def construct(loader: Any, suffix: str, node: Any) -> Call:
            is_empty = isinstance(node, yaml.ScalarNode)
            return Call(suffix, {} if is_empty else loader.construct_mapping(node, deep=True), partial)

        return construct

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789"))
    Loader.add_multi_constructor("!new:", called(False))
    Loader.add_multi_constructor("!name:", called(True))
    Loader.add_multi_constructor("!apply:", lambda loader, suffix, node: None)  # they set seeds
    Loader.add_constructor("!ref", lambda loader, node: _Reference(loader.construct_scalar(node)))
    try:
        told = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BadInput(f"{path} cannot be read ({error}); download the model again.") from error
    if not isinstance(told, dict):
        raise BadInput(f"{path} holds no settings; download the model again.")
    return {name: _resolved(value, told, path) for name, value in told.items()}


def build(value: Any) -> Any:
    """What an entry stands for, made: its arguments first, in their order, as upstream's reader does it.

    Raises BadInput for a name outside the packages that may be named.
    """
    if isinstance(value, Call):
        made = {name: build(argument) for name, argument in value.arguments.items()}
        found = _named(value.path)
        if not value.partial:
            return found(**made)
        import functools

        return functools.partial(found, **made)
    if isinstance(value, dict):
        return {name: build(one) for name, one in value.items()}
    return [build(one) for one in value] if isinstance(value, list) else value


def _named(path: str) -> Any:
    if not path.startswith(PACKAGES):
        raise BadInput(f"The model's yaml names {path}, which is none of {', '.join(PACKAGES)}: it is not CosyVoice's.")
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def _resolved(value: Any, told: Mapping[str, Any], path: Path) -> Any:
    if isinstance(value, _Reference):
        return _referred(value.text, told, path)
    if isinstance(value, Call):
        arguments = {name: _resolved(one, told, path) for name, one in value.arguments.items()}
        return Call(value.path, arguments, value.partial)
    if isinstance(value, dict):
        return {name: _resolved(one, told, path) for name, one in value.items()}
    return [_resolved(one, told, path) for one in value] if isinstance(value, list) else value


def _referred(text: str, told: Mapping[str, Any], path: Path) -> Any:
    """`<name>`, or a product of such names and numbers, which is all that these files compute."""
    factors = [factor.strip() for factor in text.split("*")]
    found = []
    for factor in factors:
        match = _REFERENCE.fullmatch(factor)
        if match and match[1] not in told:
            raise BadInput(f"{path} refers to <{match[1]}> and has no such entry; download the model again.")
        found.append(_resolved(told[match[1]], told, path) if match else _number(factor, path))
    if len(found) == 1:
        return found[0]
    return math.prod(found)


def _number(text: str, path: Path) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise BadInput(f"{path} computes {text!r}, and only products are known here.") from error
