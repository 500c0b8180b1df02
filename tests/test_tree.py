"""The layout of the package: direction of imports, no cycles, one meaning per name, nothing that cannot be reached."""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLACES = {"ecg_advmask": "ecg_advmask", "cli": "ecg_advmask.cli", "export": "ecg_advmask.export"}

LAYERS = (
    ("errors", "files", "programs", "workers", "presets", "config"),
    ("ecg",),
    ("data",),
    ("synthetic",),
    ("augment", "models"),
    ("pretrain",),
    ("evaluate",),
    ("study", "export"),
    ("report",),
    ("cli",),
)
"""Packages and modules from the lowest layer to the highest; a module imports from its own and lower layers only."""
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
ENTRIES = dict.fromkeys(("ecg_advmask", "ecg_advmask.__main__", "ecg_advmask.api"), len(LAYERS))
"""The package itself and its ``api`` are the public interface, and so stand above all."""
AGAINST = {
    "ecg_advmask.pretrain.run -> ecg_advmask.export.from_run",
    "ecg_advmask.pretrain.run -> ecg_advmask.export.onnx",
}
"""For ``run.export(...)``, imported when it is called."""

HEAVY = {"tensorflow", "keras", "tf2onnx"}
ONLY_FOR_TRAINING = (
    *HEAVY, "google_crc32c", "matplotlib", "neurokit2", "onnx", "openpyxl", "python_calamine", "sklearn",
    "tensorboard", "threadpoolctl", "tqdm", "pyarrow",
)  # fmt: skip
"""What the base install does not bring."""


def modules() -> dict[str, Path]:
    found = {}
    for folder, package in PLACES.items():
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join([package, *(part for part in parts if part != "__init__")])] = path
    return found


MODULES = modules()


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text("utf-8"))


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def statements(node: ast.AST, *, at_import: bool) -> Iterator[ast.stmt]:
    """Statements in a tree; with ``at_import`` only those that run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if at_import and (isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or is_for_types(child)):
            continue
        if isinstance(child, ast.stmt):
            yield child
        yield from statements(child, at_import=at_import)


@cache
def imports(module: str, *, at_import: bool = False) -> frozenset[str]:
    """Modules of ours, and names of other packages, that a module imports."""
    found = set()
    for node in statements(tree_of(module), at_import=at_import):
        if isinstance(node, ast.Import):
            found |= {alias.name if alias.name in MODULES else alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                base = str(node.module)
                found.add(name if name in MODULES else base if base in MODULES else base.partition(".")[0])
    return frozenset(found - {module})


def rank(module: str) -> int:
    return ENTRIES[module] if module in ENTRIES else RANK[module.split(".")[1]]


def test_every_module_has_a_layer() -> None:
    assert {module.split(".")[1] for module in MODULES if module not in ENTRIES} <= RANK.keys()


def test_nothing_imports_against_the_direction() -> None:
    against = [
        f"{module} -> {other}"
        for module in MODULES
        for other in imports(module)
        if other in MODULES and other != "ecg_advmask" and rank(other) > rank(module)
    ]
    assert set(against) == AGAINST


def test_imports_have_no_cycles() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for other in imports(module, at_import=True):
                if other in MODULES and other != "ecg_advmask":
                    visit(other, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


def test_a_public_name_is_defined_once() -> None:
    """Functions and classes; commands are called after what they do, so those of ``cli`` are excepted."""
    where = defaultdict(set)
    for module in MODULES:
        if module.split(".")[1:2] != ["cli"]:
            for node in tree_of(module).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                    where[node.name].add(module)
    assert {name: places for name, places in where.items() if len(places) > 1} == {}


def test_every_module_is_reached_from_the_commands_or_the_public_interface() -> None:
    reached: set[str] = set()
    waiting = ["ecg_advmask", "ecg_advmask.__main__", "ecg_advmask.cli"]
    while waiting:
        module = waiting.pop()
        if module in MODULES and module not in reached:
            reached.add(module)
            waiting += [*imports(module), module.rpartition(".")[0]]
    assert MODULES.keys() - reached == set()


def needs_tensorflow(module: str) -> bool:
    """Whether importing the module imports TensorFlow or Keras."""
    seen, waiting = set(), [module]
    while waiting:
        one = waiting.pop()
        if one in HEAVY:
            return True
        if one in MODULES and one not in seen:
            seen.add(one)
            waiting += [*imports(one, at_import=True), one.rpartition(".")[0]]
    return False


def imported_without(blocked: tuple[str, ...], names: list[str]) -> str:
    """What goes wrong when modules are imported in a process where some packages are absent."""
    program = f"""
import importlib, sys
import ecg_advmask
heavy = {{"tensorflow", "keras", "pandas", "onnxruntime", "numpy", "click"}} & sys.modules.keys()
assert not heavy, f"import ecg_advmask imports {{heavy}}"
sys.modules.update(dict.fromkeys({blocked!r}))
for name in {names!r}:
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(name, "->", error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


FOR_NETWORKS = ("augment", "models", "pretrain")
"""Packages whose modules may import TensorFlow when they are imported; of the others, these modules:"""
NEED_TENSORFLOW = {
    "data.batches", "data.scaling",
    "evaluate.embeddings", "evaluate.experiment", "evaluate.finetune", "evaluate.masks.coverage",
    "export.conversion", "export.onnx", "export.parity", "export.precision", "export.probe", "export.saved_model",
    "study.data", "study.results", "study.runner", "study.work",
}  # fmt: skip


def test_tensorflow_is_imported_only_where_networks_are() -> None:
    found = {module.removeprefix("ecg_advmask.") for module in MODULES if needs_tensorflow(module)}
    assert {module for module in found if module.split(".")[0] not in FOR_NETWORKS} <= NEED_TENSORFLOW


def test_what_needs_no_tensorflow_is_imported_without_it() -> None:
    light = sorted(module for module in MODULES if not needs_tensorflow(module) and module != "ecg_advmask.__main__")
    assert "ecg_advmask.export.embed" in light
    assert imported_without(tuple(HEAVY), light) == ""


def test_embedding_takes_the_base_install_alone() -> None:
    names = ["cli", "cli.embed", "export.embed", "export.encoder", "export.from_run"]
    assert imported_without(ONLY_FOR_TRAINING, [f"ecg_advmask.{name}" for name in names]) == ""


@pytest.mark.slow
def test_judging_takes_the_extra_of_that_name_alone() -> None:
    brought = {"google_crc32c", "matplotlib", "neurokit2", "onnx", "sklearn", "threadpoolctl", "tqdm"}
    names = ["cli.judge", "evaluate.judge", "report.judge_report", "export.fit", "export.simple"]
    blocked = tuple(name for name in ONLY_FOR_TRAINING if name not in brought)
    assert imported_without(blocked, [f"ecg_advmask.{name}" for name in names]) == ""
