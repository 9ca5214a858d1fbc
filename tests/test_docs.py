"""The documents are true: words, modules, verbs, exit codes and links are checked against the code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import types
from tests.project_files import project_files

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


def read(repository: Path, name: str) -> str:
    return (repository / name).read_text(encoding="utf-8")


def public_types() -> Iterator[str]:
    for name, value in vars(types).items():
        if inspect.isclass(value) and value.__module__.startswith("engine.types") and not issubclass(value, Exception):
            yield name


@pytest.mark.parametrize("name", sorted(public_types()))
def test_the_glossary_defines_every_noun(name: str, repository: Path) -> None:
    """A record that the code speaks in has a line in the glossary."""
    assert re.search(rf"^\|[^|]*`{name}`[^|]*\|", read(repository, "docs/glossary.md"), flags=re.MULTILINE)


def test_the_glossary_names_no_type_that_is_gone(repository: Path) -> None:
    """A renamed record is renamed in the glossary."""
    named = re.findall(r"^\|[^|]*`([A-Z]\w+)`[^|]*\|", read(repository, "docs/glossary.md"), flags=re.MULTILINE)
    assert sorted(set(named) - set(public_types())) == []


def test_the_architecture_names_every_module(repository: Path) -> None:
    """The table of modules has a line for each module and package of the engine, and no other line."""
    text = read(repository, "docs/architecture.md")
    named = set(re.findall(r"^\| `(\w+)/?` \|", text, flags=re.MULTILINE))
    engine = repository / "engine"
    there = {path.stem for path in engine.glob("*.py")} | {path.parent.name for path in engine.glob("*/__init__.py")}
    assert named == there - {"__init__"}


def test_the_architecture_names_what_modules_offer(repository: Path) -> None:
    """A public name that the table of modules gives is defined in that module."""
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", read(repository, "docs/architecture.md"), re.MULTILINE)
    assert rows
    for module, face in rows:
        package = repository / "engine" / module
        sources = sorted(package.glob("*.py")) if package.is_dir() else [package.with_suffix(".py")]
        text = "\n".join(source.read_text(encoding="utf-8") for source in sources)
        for name in re.findall(r"`([A-Za-z_]\w*)`", face):
            assert re.search(rf"^(?:class |def |type )?{name}\b", text, re.MULTILINE), f"{module} has no {name}"


DECISION = re.compile(
    r"# (\d{3})\. [^\n]+\n\n\*\*Context\.\*\* .+\n\n\*\*Decision\.\*\* .+\n\n\*\*Consequence\.\*\* .+", re.DOTALL
)


def test_decisions_are_numbered_and_short(repository: Path) -> None:
    """A decision is a page of about ten lines with context, decision and consequence, numbered without a gap."""
    paths = sorted((repository / "docs/decisions").glob("*.md"))
    assert paths
    for number, path in enumerate(paths, start=1):
        text = path.read_text(encoding="utf-8")
        match = DECISION.match(text)
        assert match, f"{path.name} has another form"
        assert match[1] == path.name[:3] == f"{number:03d}", path.name
        assert text.count("\n") <= 14, f"{path.name} is longer than a decision should be"


def test_links_lead_somewhere(repository: Path) -> None:
    """A link to a file of the project names a file that is there."""
    broken = []
    for name in project_files(repository):
        if not name.endswith(".md"):
            continue
        for groups in LINK.findall(read(repository, name)):
            target = next(filter(None, groups))
            path = target.partition("#")[0]
            if path and not re.match(r"[a-z]+:", path) and not (repository / name).parent.joinpath(path).exists():
                broken.append(f"{name}: {target}")
    assert broken == []


def test_every_verb_is_documented(repository: Path) -> None:
    """docs/commands.md has a row for each verb of the command line, and none for a verb that is gone."""
    from engine.cli.main import VERBS

    rows = re.findall(r"^\| `python -m engine ([\w-]+)[^`]*` \|", read(repository, "docs/commands.md"), re.MULTILINE)
    documented = set(rows)
    assert len(rows) == len(documented)
    assert documented == {verb.name for verb in VERBS}


def test_every_flag_that_is_documented_exists(repository: Path) -> None:
    """A flag in docs/commands.md is one of its verb's, and a flag of the app one of app.py's."""
    import app
    from engine.cli.main import parser

    text = read(repository, "docs/commands.md")
    verbs = next(action for action in parser()._actions if action.dest == "verb").choices
    assert isinstance(verbs, dict)
    for line in text.splitlines():
        if match := re.match(r"\| `python -m engine ([\w-]+)", line):
            known = verbs[match[1]].format_help()
            assert [flag for flag in re.findall(r"--[a-z][a-z-]*", line) if flag not in known] == [], match[1]
    about_app = text.partition("## The app")[2].partition("##")[0]
    assert [flag for flag in re.findall(r"--[a-z][a-z-]*", about_app) if flag not in app.parser().format_help()] == []


def test_every_exit_code_is_documented(repository: Path) -> None:
    """docs/commands.md gives each kind of error its exit code."""
    documented = dict(re.findall(r"^\| (\d+) \| `(\w+)`", read(repository, "docs/commands.md"), re.MULTILINE))
    errors = {
        value for value in vars(types).values() if inspect.isclass(value) and issubclass(value, types.EngineError)
    }
    assert documented == {str(error.exit_code): error.__name__ for error in errors}


@pytest.mark.parametrize("rule", ["R1", "R2", "R3", "R4", "R5", "R6"])
def test_the_architecture_states_each_rule(rule: str, repository: Path) -> None:
    """A rule that the checker names in a message is explained in docs/architecture.md."""
    assert f"**{rule}**" in read(repository, "docs/architecture.md")
