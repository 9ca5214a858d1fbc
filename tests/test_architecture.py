"""The import rules and budgets of docs/architecture.md hold in this checkout; the checker finds what breaks them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests import architecture
from tests.architecture import RULES, Rule, Sources

PRODUCT = ("engine", "ui", "tools", "benchmarks")
TEXT_SUFFIXES = {".py", ".md", ".txt", ".toml", ".yml", ".json", ".jsonl", ".css", ".js", ".html", ".sh", ".cfg", ""}
MACHINE_PATH = re.compile(r"(?<![\w.:/~<>$-])/(?:home|Users|root|work|mnt|tmp|var|srv)/[\w.-]+")
LEFTOVER = re.compile(r"\b(?:TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b|Co-Authored-B[y]")


@pytest.fixture(scope="module", name="sources")
def _sources(repository: Path) -> Sources:
    return Sources(read_sources(repository))


def read_sources(repository: Path) -> dict[str, str]:
    """Every product source by its name in the checkout."""
    paths = [path for folder in PRODUCT for path in (repository / folder).rglob("*.py")]
    paths += [path for path in [repository / "app.py"] if path.exists()]
    return {path.relative_to(repository).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def tracked_texts(repository: Path) -> dict[str, str]:
    """Every text file that belongs to the project; in a folder without git, the sources and documents."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=False)
    if listing.returncode:
        return read_sources(repository) | {path.name: path.read_text("utf-8") for path in repository.glob("*.md")}
    paths = [Path(name) for name in listing.stdout.split("\0") if name]
    paths = [path for path in paths if path.suffix in TEXT_SUFFIXES and (repository / path).is_file()]
    return {path.as_posix(): (repository / path).read_text(encoding="utf-8", errors="replace") for path in paths}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_checkout_keeps(rule: Rule, sources: Sources) -> None:
    """Each rule of docs/architecture.md holds for every source file."""
    assert list(rule(sources)) == []


PLANTED: Mapping[str, tuple[Rule, dict[str, str], str]] = {
    "a page's library in the engine": (
        architecture.engine_knows_no_page,
        {"engine/retention.py": "def retain():\n    import gradio\n"},
        "engine/retention.py:2 imports gradio",
    ),
    "a page in the engine": (
        architecture.engine_knows_no_page,
        {"engine/sweep.py": "from ui import view\n", "ui/view.py": ""},
        "engine/sweep.py:1 imports ui.view",
    ),
    "torch in a decision": (
        architecture.deciding_is_pure,
        {"engine/gate.py": "import torch\n"},
        "engine/gate.py:1 imports torch",
    ),
    "a module of ours that acts, in a decision": (
        architecture.deciding_is_pure,
        {"engine/retention.py": "from engine.store import Store\n", "engine/store.py": ""},
        "engine/retention.py:1 imports engine.store",
    ),
    "the file system in a decision": (
        architecture.deciding_is_pure,
        {"engine/listening.py": "import shutil\n"},
        "engine/listening.py:1 imports shutil",
    ),
    "reading a file in a decision": (
        architecture.deciding_is_pure,
        {"engine/gate.py": "def decide(path):\n    return path.read_text()\n"},
        "engine/gate.py:2 calls read_text",
    ),
    "a second module with the database": (
        architecture.one_place_a_library,
        {"engine/studio/core.py": "import duckdb\n"},
        "engine/studio/core.py:1 imports duckdb",
    ),
    "training that reaches the store through others": (
        architecture.training_never_reaches_the_store,
        {
            "engine/__init__.py": "",
            "engine/train/__init__.py": "",
            "engine/train/loop.py": "from engine import runs\n",
            "engine/runs.py": "def listing():\n    from engine.trash import x\n",
            "engine/trash.py": "from engine.store import Store\n",
            "engine/store.py": "",
        },
        "engine.store <- engine.trash <- engine.runs <- engine.train.loop",
    ),
    "training that reaches the store through a package": (
        architecture.training_never_reaches_the_store,
        {
            "engine/train/loop.py": "import engine.studio.core\n",
            "engine/studio/__init__.py": "import engine.store\n",
            "engine/studio/core.py": "",
            "engine/store.py": "",
        },
        "engine.store <- engine.studio <- engine.train.loop",
    ),
    "a page that imports a page": (
        architecture.pages_stand_alone,
        {"ui/gate.py": "from ui import listen\n", "ui/listen.py": ""},
        "ui/gate.py:1 imports ui.listen",
    ),
    "a page that goes round the studio": (
        architecture.pages_stand_alone,
        {"ui/runs.py": "from engine.store import Store\n", "engine/store.py": ""},
        "ui/runs.py:1 imports engine.store",
    ),
    "a loop at the top level": (
        architecture.nothing_happens_on_import,
        {"engine/audio.py": "for x in (1, 2):\n    print(x)\n"},
        "engine/audio.py:1 has for",
    ),
    "a file read into a constant": (
        architecture.nothing_happens_on_import,
        {"engine/scripts.py": "from pathlib import Path\nTEXT = Path('a').read_text()\n"},
        "engine/scripts.py:2 calls read_text",
    ),
    "an environment variable written": (
        architecture.nothing_happens_on_import,
        {"app.py": "import os\nos.environ['A'] = '1'\n"},
        "app.py:2 makes a variable os",
    ),
    "a variable of the module": (
        architecture.nothing_happens_on_import,
        {"ui/sweep.py": "current_model = None\n"},
        "ui/sweep.py:1 makes a variable current_model",
    ),
    "a function that changes a global": (
        architecture.nothing_happens_on_import,
        {"ui/sweep.py": "MODEL = None\ndef load():\n    global MODEL\n    MODEL = 1\n"},
        "ui/sweep.py:3 changes the global MODEL",
    ),
    "a module below that calls the studio": (
        architecture.layers_point_down,
        {"engine/runs.py": "from engine.studio import Studio\n", "engine/studio/__init__.py": ""},
        "engine/runs.py:1 imports engine.studio",
    ),
    "a backend that knows a use case": (
        architecture.layers_point_down,
        {"engine/backends/finch/speech_model.py": "from engine import sweep\n", "engine/sweep.py": ""},
        "engine/backends/finch/speech_model.py:1 imports engine.sweep",
    ),
    "a circle": (
        architecture.no_cycle,
        {"engine/a.py": "import engine.b\n", "engine/b.py": "import engine.c\n", "engine/c.py": "import engine.a\n"},
        "engine.a -> engine.b -> engine.c -> engine.a",
    ),
    "a circle of types": (
        architecture.no_cycle,
        {
            "engine/a.py": "import engine.b\n",
            "engine/b.py": "if TYPE_CHECKING:\n    import engine.c\n",
            "engine/c.py": "def f():\n    import engine.a\n",
        },
        "engine.a -> engine.b -> engine.c -> engine.a",
    ),
    "a long file": (
        architecture.budgets_are_kept,
        {"engine/audio.py": "A = 1\n" * (architecture.FILE_LINES + 1)},
        "engine/audio.py has 401 lines",
    ),
    "a long function": (
        architecture.budgets_are_kept,
        {"engine/audio.py": "def f():\n" + "    g()\n" * architecture.FUNCTION_LINES},
        "engine/audio.py:1 f has 61 lines",
    ),
    "a module without a docstring": (
        architecture.every_module_says_what_it_knows,
        {"engine/audio.py": "A = 1\n"},
        "engine/audio.py has no docstring",
    ),
}


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_violation_is_named(plant: str) -> None:
    """A rule that is broken says where, so that a green test means that nothing was broken."""
    rule, files, expected = PLANTED[plant]
    found = list(rule(Sources(files)))
    assert len(found) == 1, found
    assert found[0].startswith(expected)


def test_every_rule_has_a_planted_violation() -> None:
    """A rule without a planted violation could be one that never fires."""
    assert {rule for rule, _, _ in PLANTED.values()} == set(RULES)


def test_what_only_the_type_checker_imports_is_no_dependency() -> None:
    """Names for annotations may come from anywhere: they are never imported when the program runs."""
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from engine.store import Store\n"
    sources = Sources({"engine/gate.py": text, "ui/gate.py": text, "engine/train/loop.py": text, "engine/store.py": ""})
    assert [violation for rule in RULES[:5] for violation in rule(sources)] == []


def test_what_a_lambda_would_do_is_no_work() -> None:
    """A table of functions is a constant: nothing runs until somebody calls one."""
    sources = Sources({"engine/runs.py": "STAGES = {'a': lambda path: path.read_text()}\n"})
    assert list(architecture.nothing_happens_on_import(sources)) == []


@pytest.mark.parametrize("module", ["engine", "engine.studio", "engine.runs", "app"])
def test_importing_loads_no_heavy_library(module: str, repository: Path) -> None:
    """The first page answers within seconds and a listing costs no model library: they load when first needed."""
    heavy = ("torch", "torchaudio", "transformers", "peft", "librosa", "numba", "scipy", "matplotlib", "gradio")
    probe = f"import {module}, sys; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_every_imported_library_is_a_requirement(sources: Sources, repository: Path) -> None:
    """What the code imports by name is named in requirements.txt, or in a backend's own, not left to come along with
    something else.
    """
    named = requirement_names(repository / "requirements.txt")
    own: dict[str, set[str]] = {}
    for path in (repository / "engine/backends").glob("*/requirements*.txt"):
        own.setdefault(path.parent.name, set()).update(requirement_names(path))
    distributions = packages_distributions()
    ours = {name.partition(".")[0] for name in sources.modules}
    for name, module in sources.modules.items():
        if name.startswith(("tools", "benchmarks")):
            continue
        for found in sources.imports(name):
            top = found.target.partition(".")[0]
            if top in sys.stdlib_module_names or top in ours:
                continue
            owners = {owner.lower().replace("_", "-") for owner in distributions.get(top, [top])}
            backend = name.split(".")[2] if name.startswith("engine.backends.") else ""
            assert owners & (named | own.get(backend, set())), (
                f"{module.path}:{found.line} imports {top}, which requirements.txt does not name"
            )


def requirement_names(path: Path) -> set[str]:
    """The distributions a requirements file names."""
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return {re.split(r"[\s<>=!~;\[]", line)[0].lower().replace("_", "-") for line in lines if line}


def test_every_requirement_is_bounded(repository: Path) -> None:
    """A new major version of a library comes by a change of ours, never by itself."""
    backends = (repository / "engine" / "backends").glob("*/requirements*.txt")
    for path in (repository / "requirements.txt", repository / "requirements-dev.txt", *backends):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip() and not line.startswith("#"):
                assert "==" in line or "<" in line, f"{path.name}: {line}"


def test_the_pair_has_one_version(repository: Path) -> None:
    """torch and torchaudio are pinned to the same version: another pair fails when it is imported."""
    text = (repository / "requirements.txt").read_text(encoding="utf-8")
    versions = re.findall(r"^torch(?:audio)?==(\S+)$", text, flags=re.MULTILINE)
    assert len(versions) == 2
    assert versions[0] == versions[1]


def test_no_path_of_one_machine(repository: Path) -> None:
    """The project speaks of no folder of the machine that it was written on."""
    for name, text in tracked_texts(repository).items():
        found = MACHINE_PATH.search(text)
        assert not found, f"{name} names {found and found[0]}"


def test_no_leftover_notes(repository: Path) -> None:
    """What is still to do is no comment in a source."""
    for name, text in tracked_texts(repository).items():
        found = LEFTOVER.search(text)
        assert not found, f"{name} holds {found and found[0]}"
