"""Reads the sources and says where they break the import rules of docs/architecture.md.

Pure: a `Sources` is a mapping from file name to text, each rule a function from it to sentences, one a violation. Knows
the rules; `tests/test_architecture.py` applies them to the checkout and to planted violations.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

FILE_LINES = 400
FUNCTION_LINES = 60

PURE = (
    *(
        "engine.types",
        "engine.gate",
        "engine.retention",
        "engine.listening",
        "engine.statistics",
        "engine.adaptive",
        "engine.analysis",
    ),
    *("engine.segmentation", "engine.tiers"),
)
PURE_MAY_IMPORT = ("numpy", "scipy", *PURE)
IO_MODULES = frozenset("asyncio fcntl glob http io os shutil signal socket sqlite3 subprocess tempfile urllib".split())
IO_CALLS = frozenset("open print input read_text read_bytes write_text write_bytes mkdir unlink rename".split())

# Library -> where alone it may be imported: a package name stands for everything below it.
ONE_PLACE: Mapping[str, tuple[str, ...]] = {
    "duckdb": ("engine.store",),
    "pyloudnorm": ("engine.audio",),
    "peft": ("engine.peft_files", "engine.bundle.speaking", "engine.train", "engine.backends"),
    "gradio": ("ui",),
    "matplotlib": ("ui.figures", "ui.theme"),
    "uvicorn": ("ui", "app"),
    "espeakng_loader": ("engine.backends.finch",),
    "voxcpm": ("engine.backends.voxcpm",),
    "huggingface_hub": ("engine.backends.hub",),
    "qwen_tts": ("engine.backends.qwen3_tts",),
}
PAGES = ("ui.data", "ui.runs", "ui.sweep", "ui.tests", "ui.listen", "ui.results", "ui.gate", "ui.voices")
UI_MAY_IMPORT = ("engine.studio", "engine.types")
# A figure of a file's sound reads that file; a use case would only pass it through.
UI_ALSO: Mapping[str, tuple[str, ...]] = {"ui.figures": ("engine.audio",)}
BACKENDS_MAY_IMPORT = ("engine.backends", "engine.types", "engine.audio")
# Calls that only turn the file's own text into a value, as a constant's definition may.
MAKES_A_VALUE = frozenset(
    "frozenset tuple dict list set str float int len min max sum range sorted zip enumerate compile getLogger split "
    "field resolve with_name joinpath join items keys values replace strip format log sqrt linspace empty".split()
)
CONSTANT = re.compile(r"_{0,2}[A-Z][A-Za-z0-9_]*|__[a-z]+__|log|logger")


@dataclass(frozen=True)
class Import:
    """One imported module. `typing`: only for the type checker; `lazy`: inside a function."""

    target: str
    line: int
    typing: bool
    lazy: bool


@dataclass(frozen=True)
class Module:
    """One source file under its dotted name."""

    name: str
    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=self.path)


class Sources:
    """All modules of a tree, with their imports resolved against one another."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.modules = {_name(path): Module(_name(path), path, text) for path, text in files.items()}
        self._imports = {name: tuple(self._read(module)) for name, module in self.modules.items()}

    def imports(self, name: str) -> tuple[Import, ...]:
        return self._imports[name]

    def below(self, *packages: str) -> list[Module]:
        """Every module of `packages`, themselves included."""
        return [module for name, module in sorted(self.modules.items()) if is_below(name, packages)]

    def edges(self, name: str) -> set[str]:
        """The modules of this tree that `name` imports in any way. A package and what lies in it are one place: what a
        module takes from a package around it, or a package from within, leads nowhere.
        """
        found = {i.target for i in self._imports[name] if i.target in self.modules}
        return {target for target in found if not (is_below(name, (target,)) or is_below(target, (name,)))}

    def run_time_edges(self, name: str, *, lazy: bool = True) -> set[str]:
        """The modules of this tree that `name` imports when it runs; only while being imported if not `lazy`."""
        found = [i.target for i in self._imports[name] if not i.typing and (lazy or not i.lazy)]
        return {target for target in found if target in self.modules}

    def _read(self, module: Module) -> Iterator[Import]:
        for node, typing, lazy in _walk(module.tree, typing=False, lazy=False):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(alias.name, node.lineno, typing, lazy)
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    yield Import(full if full in self.modules else node.module, node.lineno, typing, lazy)


def _name(path: str) -> str:
    dotted = path.removesuffix(".py").replace("/", ".")
    return dotted.removesuffix(".__init__")


def _walk(node: ast.AST, *, typing: bool, lazy: bool) -> Iterator[tuple[ast.AST, bool, bool]]:
    for child in ast.iter_child_nodes(node):
        yield child, typing, lazy
        inside_function = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _walk(child, typing=typing or _is_typing_block(child), lazy=inside_function)


def _is_typing_block(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def is_below(name: str, packages: tuple[str, ...]) -> bool:
    """Whether `name` is one of `packages` or lies inside one."""
    return any(name == package or name.startswith(package + ".") for package in packages)


def _top(name: str) -> str:
    return name.partition(".")[0]


# ---------------------------------------------------------------------------------------------------------------- rules
def engine_knows_no_page(sources: Sources) -> Iterator[str]:
    """R1: nothing under engine/ imports gradio, matplotlib, ui or app."""
    for module in sources.below("engine"):
        for found in sources.imports(module.name):
            if _top(found.target) in ("gradio", "matplotlib", "ui", "app"):
                yield f"{module.path}:{found.line} imports {found.target}: the engine runs without any page (R1)"


def deciding_is_pure(sources: Sources) -> Iterator[str]:
    """R2: types, gate, retention, listening and statistics do no I/O and import no torch."""
    for module in sources.below(*PURE):
        for found in sources.imports(module.name):
            outside = _top(found.target) not in sys.stdlib_module_names and not is_below(found.target, PURE_MAY_IMPORT)
            if not found.typing and (outside or _top(found.target) in IO_MODULES):
                yield f"{module.path}:{found.line} imports {found.target}: {module.name} only decides (R2)"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and _called(node) in IO_CALLS:
                yield f"{module.path}:{node.lineno} calls {_called(node)}: {module.name} does no I/O (R2)"


def _called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def one_place_a_library(sources: Sources) -> Iterator[str]:
    """R3: the libraries of ONE_PLACE are imported where the table says and nowhere else."""
    for module in sources.below("engine", "ui", "app"):
        for found in sources.imports(module.name):
            places = ONE_PLACE.get(_top(found.target))
            if places is not None and not is_below(module.name, places) and not found.typing:
                yield f"{module.path}:{found.line} imports {found.target}: only {', '.join(places)} may (R3)"


def training_never_reaches_the_store(sources: Sources) -> Iterator[str]:
    """R4: no chain of imports leads from engine.train to engine.store: whoever opens the database locks the app out."""
    came_from: dict[str, str] = {module.name: "" for module in sources.below("engine.train")}
    queue = list(came_from)
    while queue:
        name = queue.pop()
        for target in sorted(_with_packages(sources.run_time_edges(name), sources)):
            if target not in came_from:
                came_from[target] = name
                queue.append(target)
    if "engine.store" in came_from:
        yield f"{' <- '.join(_chain('engine.store', came_from))}: training opens no database (R4)"


def _with_packages(names: set[str], sources: Sources) -> set[str]:
    """Importing a.b.c runs a and a.b as well."""
    parents = {name.rsplit(".", n)[0] for name in names for n in range(1, name.count(".") + 1)}
    return names | (parents & sources.modules.keys())


def _chain(name: str, came_from: Mapping[str, str]) -> Iterator[str]:
    while name:
        yield name
        name = came_from[name]


def pages_stand_alone(sources: Sources) -> Iterator[str]:
    """R5: pages never import one another, and ui/ reaches the engine through engine.studio and engine.types alone."""
    for module in sources.below("ui"):
        for found in sources.imports(module.name):
            page_to_page = module.name in PAGES and found.target in PAGES
            allowed = UI_MAY_IMPORT + UI_ALSO.get(module.name, ())
            inner = _top(found.target) == "engine" and not is_below(found.target, allowed)
            if page_to_page:
                yield f"{module.path}:{found.line} imports {found.target}: a page can go by deleting its file (R5)"
            elif inner and not found.typing:
                yield f"{module.path}:{found.line} imports {found.target}: pages call engine.studio (R5)"


def nothing_happens_on_import(sources: Sources) -> Iterator[str]:
    """R6: a module's top level holds imports, definitions and constants; no function changes a global."""
    for module in sources.modules.values():
        for statement in module.tree.body:
            if problem := _work(statement):
                yield f"{module.path}:{statement.lineno} {problem} at import time (R6)"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Global):
                yield f"{module.path}:{node.lineno} changes the global {', '.join(node.names)} (R6)"


def _work(statement: ast.stmt) -> str:
    """What a top-level statement does beyond defining; empty when nothing."""
    if isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return ""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return ""
    if _is_typing_block(statement) or _is_main_block(statement):
        return ""
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        names = [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
        if strange := [name for name in names if not CONSTANT.fullmatch(name)]:
            return f"makes a variable {strange[0]}"
        return next((f"calls {_called(node)}" for node in _executed(statement) if _does_work(node)), "")
    return f"has {type(statement).__name__.lower()}"


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """`node` and what is below it, without the bodies of lambdas, which run later or never."""
    yield node
    if not isinstance(node, ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _executed(child)


def _is_main_block(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == "__name__ == '__main__'"


def _does_work(node: ast.AST) -> bool:
    """Whether a call at the top level does more than make a value from the file's own text."""
    if not isinstance(node, ast.Call):
        return False
    name = _called(node)
    return name in IO_CALLS or not (name[:1].isupper() or name.startswith("_") or name in MAKES_A_VALUE)


def layers_point_down(sources: Sources) -> Iterator[str]:
    """`app -> ui -> engine.studio -> the other modules -> engine.backends -> engine.types`, never the other way."""
    above_studio = ("engine.studio", "engine.__main__", "engine.cli", "engine.demo", "engine.doctor")
    for module in sources.below("engine"):
        for found in sources.imports(module.name):
            if found.typing or _top(found.target) != "engine":
                continue
            if is_below(found.target, ("engine.studio",)) and not is_below(module.name, above_studio):
                yield f"{module.path}:{found.line} imports {found.target}: the studio calls, and is not called"
            if is_below(module.name, ("engine.backends",)) and not is_below(found.target, BACKENDS_MAY_IMPORT):
                yield f"{module.path}:{found.line} imports {found.target}: a backend knows types and audio alone"


def no_cycle(sources: Sources) -> Iterator[str]:
    """No chain of imports leads back to its start, be they within functions or for types alone."""
    state: dict[str, str] = {}

    def visit(name: str, path: tuple[str, ...]) -> Iterator[str]:
        if state.get(name) == "done":
            return
        if name in path:
            yield f"{' -> '.join((*path[path.index(name) :], name))}: modules import one another in a circle"
            return
        for target in sorted(sources.edges(name)):
            yield from visit(target, (*path, name))
        state[name] = "done"

    for name in sorted(sources.modules):
        yield from visit(name, ())


def budgets_are_kept(sources: Sources) -> Iterator[str]:
    """A file has at most FILE_LINES lines, a function at most FUNCTION_LINES."""
    for module in sources.modules.values():
        length, most = module.text.count("\n"), FILE_LINES
        if length > most:
            yield f"{module.path} has {length} lines: at most {most}"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES:
                    yield f"{module.path}:{node.lineno} {node.name} has {length} lines: at most {FUNCTION_LINES}"


def every_module_says_what_it_knows(sources: Sources) -> Iterator[str]:
    """Every module begins with a docstring."""
    for module in sources.modules.values():
        if not ast.get_docstring(module.tree):
            yield f"{module.path} has no docstring: say what the file knows and what it does not"


Rule = Callable[[Sources], Iterator[str]]
RULES: tuple[Rule, ...] = (
    engine_knows_no_page,
    deciding_is_pure,
    one_place_a_library,
    training_never_reaches_the_store,
    pages_stand_alone,
    nothing_happens_on_import,
    layers_point_down,
    no_cycle,
    budgets_are_kept,
    every_module_says_what_it_knows,
)
