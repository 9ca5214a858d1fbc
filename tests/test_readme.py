"""README.md is true: its tree names what is there, its commands exist, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.project_files import project_files

# The folders whose every entry the tree names; below the others one line stands for the whole folder.
SHOWN = ("", "engine", "engine/backends", "ui", "assets")
NOT_SHOWN = {".gitignore", ".gitattributes", "engine/__init__.py", "engine/backends/__init__.py", "ui/__init__.py"}


@pytest.fixture(scope="module", name="readme")
def _readme(repository: Path) -> str:
    return (repository / "README.md").read_text(encoding="utf-8")


def tree(readme: str) -> dict[str, str]:
    """Path to comment of every line of the annotated tree; a folder's path ends with a slash."""
    block = re.search(r"```text\n(.*?)```", readme, flags=re.DOTALL)
    assert block, "README.md has no tree in a ```text block"
    found: dict[str, str] = {}
    parents: list[str] = []
    for line in block[1].splitlines():
        name, _, comment = line.strip().partition(" ")
        del parents[(len(line) - len(line.lstrip())) // 2 :]
        parents.append(name)
        found["".join(parents)] = comment.strip()
    return found


def entries(files: list[str], folder: str) -> set[str]:
    """Files and folders directly inside `folder`; folders end with a slash."""
    prefix = f"{folder}/" if folder else ""
    inside = [name.removeprefix(prefix) for name in files if name.startswith(prefix)]
    return {f"{prefix}{name.partition('/')[0]}{'/' if '/' in name else ''}" for name in inside}


def test_the_tree_names_every_file(readme: str, repository: Path) -> None:
    """Who adds a file says in the README what it is for."""
    named = tree(readme).keys()
    files = project_files(repository)
    there = {entry for folder in SHOWN for entry in entries(files, folder)} - NOT_SHOWN
    assert sorted(there - named) == []


def test_the_tree_names_nothing_else(readme: str, repository: Path) -> None:
    """Who removes or renames a file removes its line."""
    assert [path for path in tree(readme) if not (repository / path).exists()] == []


def test_every_line_of_the_tree_has_a_comment(readme: str) -> None:
    """A name without a comment tells a newcomer nothing."""
    assert [path for path, comment in tree(readme).items() if not comment] == []


def test_a_renamed_file_is_noticed() -> None:
    """The two directions of the comparison see a file that is missing from the tree, and a line without a file."""
    named = tree("```text\nengine/      the engine\n  gate.py    rules\n```")
    assert named == {"engine/": "the engine", "engine/gate.py": "rules"}
    assert entries(["engine/gate.py", "engine/studio/core.py"], "engine") == {"engine/gate.py", "engine/studio/"}


def test_the_commands_exist(repository: Path) -> None:
    """Every `make` command that a document names is a target of the Makefile."""
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    for name in project_files(repository):
        if name.endswith(".md"):
            text = (repository / name).read_text(encoding="utf-8")
            named = set(re.findall(r"(?:`|^)make ([a-z-]+)", text, flags=re.MULTILINE))
            assert named <= targets, f"{name} names make {named - targets}"


def test_every_command_says_what_it_does(repository: Path) -> None:
    """`make` alone lists each command with one line, and docs/commands.md explains each."""
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert phony
    explained = (repository / "docs/commands.md").read_text(encoding="utf-8")
    for target in phony[1].split():
        assert re.search(rf"^{target}:.*## \S", makefile, flags=re.MULTILINE), f"Makefile: {target} has no ## line"
        assert f"`make {target}`" in explained, f"docs/commands.md does not name make {target}"


def test_three_sentences_say_what_it_is_for(readme: str) -> None:
    """A newcomer reads one short paragraph before anything else."""
    first = readme.split("\n\n")[1]
    assert len(re.findall(r"\.(?:\s|$)", first)) == 3
