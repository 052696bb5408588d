"""The map of the house, held: which room may import which, and what stands in one place alone.

The sources are read with `ast`; nothing is imported. Each rule is a function of the sources, so that the breaks at the
end can show that it turns red.
"""

import ast
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Room -> the rooms that its files may import. "base" is what stands in plmjax/ itself (errors, renames, version), and
# "facade" is what `import plmjax` gives.
ARROWS: dict[str, set[str]] = {
    "base": set(),
    "facade": {"base", "interop", "pipelines"},
    "data": {"base"},
    "noise": {"base"},
    "losses": {"base"},
    "modules": {"base"},
    "objectives": {"base", "data", "noise", "losses", "modules"},
    "checkpoints": {"base", "data", "modules", "objectives"},
    "decode": {"base", "data", "losses", "modules"},
    "tasks": {"base", "data", "losses", "modules", "decode"},
    "train": {"base", "data", "losses", "modules", "objectives", "checkpoints"},
    "interop": {"base", "data", "losses", "modules", "checkpoints", "decode", "tasks", "train"},
    "finetune": {
        "base", "data", "losses", "modules", "objectives", "checkpoints", "decode", "tasks", "train", "interop",
    },
    "pipelines": {"base", "data", "modules", "checkpoints", "decode", "tasks", "interop", "finetune"},
    "experiments": {
        "base",
        "facade", "data", "modules", "objectives", "checkpoints", "decode", "tasks", "train", "interop", "finetune",
        "pipelines",
    },
}  # fmt: skip

# Packages that a function may import, and why the top of the file is no place for them.
LAZY_PACKAGES = {
    "h5py": "an extra that ELMo's released files alone need",
    "huggingface_hub": "takes a third of a second; names of the hub alone need it",
    "matplotlib": "takes half a second; a run that draws nothing does without",
    "pyarrow": "takes a third of a second; Parquet files alone need it",
    "sklearn": "takes a second; scores and plots of labels alone need it",
    "tensorboardX": "a run may write none",
    "tensorflow_datasets": "takes seconds; sources named tfds: alone need it",
    "torch": "an extra, the other side of a comparison",
    "transformers": "an extra, the other side of a comparison",
    "wandb": "an extra",
    "jax.experimental.multihost_utils": "starts what several processes alone need",
    "jax.experimental.pallas.ops.tpu.flash_attention": "exists for TPUs alone",
}
# Files that may ask for Hugging Face's model_type, where every other fact of a family stands in the family's file; and
# those where model_type is SentencePiece's, "unigram" or "bpe".
MODEL_TYPE_FILES = {
    "plmjax.interop.family", "plmjax.interop.registry", "plmjax.interop.huggingface",
    "plmjax.data.store.prepare", "plmjax.data.tokenizers.sentencepiece", "plmjax.interop.sentencepiece_json",
}  # fmt: skip


class Import(NamedTuple):
    """One name that a file imports: from which module, on which line, and whether a function does."""

    module: str
    line: int
    in_function: bool


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    """The text of each module of the package and the scripts, by its dotted name."""
    files = [file for top in ("plmjax", "experiments") for file in sorted((ROOT / top).rglob("*.py"))]
    return {_name(file): file.read_text(encoding="utf-8") for file in files}


def _name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _room(module: str) -> str:
    """The room that a module stands in."""
    parts = module.split(".")
    if module == "plmjax":
        return "facade"
    if parts[0] == "experiments":
        return "experiments"
    return parts[1] if len(parts) > 1 and parts[1] in ARROWS else "base"


def _imports(sources: dict[str, str], module: str) -> list[Import]:
    """What a module imports; `from package import module` counts as an import of that module."""
    return _read_imports(sources[module], frozenset(sources))


@cache
def _read_imports(text: str, modules: frozenset[str]) -> list[Import]:
    tree, imports = _tree(text), []
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    inner = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [name if name in modules or not _own(name) else node.module for name in names]
        else:
            continue
        imports += [Import(name, node.lineno, id(node) in inner) for name in found]
    return imports


@cache
def _tree(text: str) -> ast.Module:
    return ast.parse(text)


def _own(name: str) -> bool:
    return name.split(".")[0] in ("plmjax", "experiments")


def wrong_arrows(sources: dict[str, str]) -> list[str]:
    """Imports of a room that the importing room may not know."""
    return [
        f"{module}:{found.line} imports {found.module}: {_room(module)} may not know {_room(found.module)}"
        for module in sources
        for found in _imports(sources, module)
        if _own(found.module) and _room(found.module) not in ARROWS[_room(module)] | {_room(module)}
    ]


def loops(sources: dict[str, str]) -> list[str]:
    """Files that import each other, directly or through others, with imports inside functions counted."""
    graph = {
        module: {found.module for found in _imports(sources, module) if found.module in sources} - {module}
        for module in sources
    }
    while leaves := {module for module, needs in graph.items() if not needs & graph.keys()}:
        graph = {module: needs for module, needs in graph.items() if module not in leaves}
    # What is left is in a loop or above one; those above go by the same way from the other end.
    while tops := graph.keys() - {need for needs in graph.values() for need in needs}:
        graph = {module: needs for module, needs in graph.items() if module not in tops}
    return sorted(graph)


def hidden_imports(sources: dict[str, str]) -> list[str]:
    """Imports inside functions without a reason in the list above."""
    return [
        f"{module}:{found.line} imports {found.module} inside a function"
        for module in sources
        for found in _imports(sources, module)
        if found.in_function
        and not any(found.module == name or found.module.startswith(name + ".") for name in LAZY_PACKAGES)
    ]


def linen_outside_modules(sources: dict[str, str]) -> list[str]:
    """Files but for plmjax.modules that import Flax."""
    return [
        f"{module}:{found.line} imports {found.module}"
        for module in sources
        for found in _imports(sources, module)
        if found.module.split(".")[0] == "flax" and _room(module) != "modules"
    ]


def repeated_classes(sources: dict[str, str]) -> list[str]:
    """Public classes of the package that have the name of another."""
    places: dict[str, list[str]] = {}
    for module, text in sources.items():
        if module.startswith("plmjax"):
            for node in _tree(text).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places.setdefault(node.name, []).append(module)
    return [f"{name}: {', '.join(modules)}" for name, modules in places.items() if len(modules) > 1]


def model_types(sources: dict[str, str]) -> list[str]:
    """Where a Hugging Face model_type decides something outside the families' own files."""
    return [
        f"{module}:{node.lineno} asks for model_type"
        for module, text in sources.items()
        if module.startswith("plmjax") and module not in MODEL_TYPE_FILES and not _is_family(text)
        for node in ast.walk(_tree(text))
        if (isinstance(node, ast.Attribute) and node.attr == "model_type")
        or (isinstance(node, ast.arg) and node.arg == "model_type")
    ]


def _is_family(text: str) -> bool:
    """Whether a module makes a `Family`."""
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Family"
        for node in ast.walk(_tree(text))
    )


RULES: list[Callable[[dict[str, str]], list[str]]] = [
    wrong_arrows, loops, hidden_imports, linen_outside_modules, repeated_classes, model_types,
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house(sources: dict[str, str], rule: Callable[[dict[str, str]], list[str]]) -> None:
    assert rule(sources) == [], rule.__doc__


def test_every_exception_is_needed(sources: dict[str, str]) -> None:
    found = [(module, item.module) for module in sources for item in _imports(sources, module) if item.in_function]
    for package in LAZY_PACKAGES:
        assert any(name == package or name.startswith(package + ".") for _, name in found), package


# A line to add to a file, and the rule that must see it.
BREAKS = {
    "an arrow back": ("plmjax.train.step", "from plmjax.finetune.loop import finetune", wrong_arrows),
    "rooms that do not know each other": ("plmjax.noise.spans", "import plmjax.modules.layers", wrong_arrows),
    "a loop inside a room": ("plmjax.data.store.split", "from plmjax.data.store.store import Store", loops),
    "an import inside a function": ("plmjax.errors", "def f():\n    import numpy", hidden_imports),
    "Linen outside modules": ("plmjax.decode.fill", "from flax import linen as nn", linen_outside_modules),
    "a class's name twice": ("plmjax.errors", "class Store: ...", repeated_classes),
    "a model_type outside its family": ("plmjax.errors", "def f(x): return x.model_type == 'bert'", model_types),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_turns_the_rule_red(sources: dict[str, str], name: str) -> None:
    module, line, rule = BREAKS[name]
    before = rule(sources)
    assert set(rule(sources | {module: f"{sources[module]}\n{line}\n"})) - set(before), name
