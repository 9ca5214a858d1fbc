"""A stand-in, for tests: settings by attribute."""

from types import SimpleNamespace
from typing import Any


class DictConfig(SimpleNamespace):
    def __init__(self, content: dict[str, Any]) -> None:
        super().__init__(**content)
