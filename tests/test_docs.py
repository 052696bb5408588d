"""What the documentation says is so: every command parses, every name exists, every link leads somewhere."""

import ast
import importlib.util
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
CONFIGS = sorted((ROOT / "experiments" / "configs").rglob("*.py"))
SHARED = ROOT / "experiments" / "_main.py"  # the flags of all scripts
SCRIPTS = sorted(
    path for path in (ROOT / "experiments").glob("*.py") if "__main__" in path.read_text() and path != SHARED
)
# Words of the documentation that stand for something of the reader's.
WORDS = {"VARIANT": "", "NETWORK+OBJECTIVE": "bert+masked_lm", "FILE.py:NAME": "sst2", "I": "0", "N": "2"}
# Imports what scripts need once, then tries each command in a process of its own that only reads its flags.
RUNNER = r"""
import contextlib, io, json, os, runpy, sys
from absl import flags
import experiments.finetune_vs_transformers, plmjax.pipelines, plmjax.train.loop, experiments.configs.combine
from experiments import _main

for name in list(flags.FLAGS):
    if flags.FLAGS.find_module_defining_flag(name, "").startswith("experiments"):
        delattr(flags.FLAGS, name)
del sys.modules["experiments.finetune_vs_transformers"]


def parse(main):
    _main.add_shared_flags()
    flags.FLAGS.mark_as_parsed()
    flags.FLAGS(sys.argv)
    for name in ("config", "task"):
        if name in flags.FLAGS:
            flags.FLAGS[name].value.name


_main.run = parse
for line in sys.stdin:
    argv = json.loads(line)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        sys.argv, message = argv, io.StringIO()
        try:
            with contextlib.redirect_stderr(message):
                runpy.run_module(argv[0], run_name="__main__", alter_sys=False)
        except SystemExit:
            pass
        except BaseException as error:
            message.write(f"{type(error).__name__}: {error}")
        os.write(writer, message.getvalue()[-2000:].encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as out:
        print(json.dumps([argv, out.read()]), flush=True)
    os.waitpid(child, 0)
"""


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def commands_of(text: str) -> list[list[str]]:
    """`python -m experiments.NAME ARGUMENTS` of each line, as [module, *arguments]; continued lines are one."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        if match := re.search(r"python -m (experiments\.\w+)(.*)", line):
            rest = match[2].rstrip("'") if match[2].count("'") % 2 else match[2]  # a quoted command ends with the line
            reader = shlex.shlex(rest, posix=True, punctuation_chars=True)
            reader.whitespace_split = True
            words = itertools.takewhile(lambda word: not set(word) <= set(";&|"), reader)
            found.append([match[1], *words])
    return found


def documented() -> list[list[str]]:
    """Every command of the pages' blocks and of the docstrings of scripts and configurations, once."""
    found = [command for page in PAGES for block in blocks(page.read_text(), "sh") for command in commands_of(block)]
    for path in (*SCRIPTS, *CONFIGS):
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        indented = "\n".join(line.strip() for line in text.splitlines() if line.startswith("  "))
        found += commands_of(indented)
    unique = {json.dumps(command): command for command in found}
    return list(unique.values())


def spelled(argument: str) -> str:
    """An argument with the documentation's placeholders filled in."""
    for word, meaning in WORDS.items():
        argument = re.sub(rf"(?<=[:=]){re.escape(word)}$", meaning, argument)
    return argument.removesuffix(":")


def write_files(folder: Path) -> None:
    """The pages' files: each Python block that begins with a comment of its name."""
    for page in PAGES:
        for block in blocks(page.read_text(), "python"):
            if name := re.match(r"# (\w+\.py)\n", block):
                (folder / name[1]).write_text(block)


def test_every_command_parses(tmp_path):
    write_files(tmp_path)
    commands = [[command[0], *map(spelled, command[1:])] for command in documented()]
    assert len(commands) > 60
    run = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input="".join(json.dumps(command) + "\n" for command in commands),
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        cwd=tmp_path,  # commands work from any folder
        capture_output=True,
        text=True,
        check=True,
    )
    tried = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("[[")]
    assert len(tried) == len(commands), run.stderr[-2000:]
    wrong = [f"{' '.join(argv)}\n    {message}" for argv, message in tried if message.strip()]
    assert not wrong, "\n".join(wrong)


def has_field(config: object, path: str) -> bool:
    """Whether a configuration has the field of a dotted path."""
    for name in path.split("."):
        if not hasattr(config, name):
            return False
        config = getattr(config, name)
    return True


def test_flags_and_fields_in_sentences_exist():
    """What a sentence names as `--flag` is a flag of a script; `--config.FIELD` a field of some configuration."""
    flags = set(re.findall(r"DEFINE_\w+\(\s*\"(\w+)\"", "".join(path.read_text() for path in (*SCRIPTS, SHARED)))) | {
        "help",
        "config",
        "task",
    }
    modules = [f"experiments.configs.{path.stem}" for path in CONFIGS if path.parent.name == "configs"]
    modules += ["experiments.configs.finetune.bart_writing"]
    loaded = [importlib.import_module(name) for name in modules if not name.endswith(("__init__", "common"))]
    configs = [module.get_config() for module in loaded]
    configs.append(importlib.import_module("experiments.configs.evaluate").get_config("squad"))
    for page in PAGES:
        prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for code in re.findall(r"`((?:--|python -m experiments)[^`]+)`", prose):
            for name, path in re.findall(r"(?<![\w-])--(\w+)((?:\.\w+)*)", code):
                where = f"{page.relative_to(ROOT)}: {code}"
                if not path:
                    assert name in flags, where
                elif name == "config":
                    assert any(has_field(config, path[1:]) for config in configs), where


def parsed(block: str) -> ast.Module:
    """The syntax of a block: statements, a session at the prompt, or entries of a dict."""
    if ">>> " in block:
        block = "\n".join(line[4:] for line in block.splitlines() if line.startswith((">>> ", "... ")))
    try:
        return ast.parse(block)
    except SyntaxError:
        return ast.parse("{" + block + "}")


def test_python_blocks_name_what_there_is():
    for page in PAGES:
        for block in blocks(page.read_text(), "python"):
            for node in ast.walk(parsed(block)):
                if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("plmjax", "experiments"):
                    module = importlib.import_module(node.module)
                    for name in (alias.name for alias in node.names):
                        there = hasattr(module, name) or importlib.util.find_spec(f"{node.module}.{name}")
                        assert there, f"{page}: {ast.unparse(node)}"
                if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "plmjax":
                    assert hasattr(importlib.import_module("plmjax"), node.attr), f"{page}: {ast.unparse(node)}"


def test_paths_of_the_code_exist():
    """What stands in code marks and looks like a file of this project is one."""
    for page in PAGES:
        for name in re.findall(r"`((?:plmjax|experiments|tests|docs)/[\w./]+)`", page.read_text()):
            assert "NAME" in name or (ROOT / name).exists(), f"{page.relative_to(ROOT)} names {name}"


# The site has pages that its build makes from other files.
MADE = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}


def test_links_lead_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            target = (page.parent / link).resolve()
            inside = target.relative_to(DOCS).as_posix() if target.is_relative_to(DOCS) else ""
            if inside.startswith("api/") or inside in MADE or inside == "notebooks/quickstart.md":
                continue
            assert target.exists(), f"{page.relative_to(ROOT)} links to {link}"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


def test_every_command_is_in_the_readme():
    listed = set(re.findall(r"^\| `python -m experiments\.(\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert listed == {path.stem for path in SCRIPTS}


def tool(name: str):
    """A module of docs/tools."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_of_the_rooms_is_up_to_date():
    architecture = tool("architecture")
    assert architecture.rooms() == set(architecture.HOLDS)
    now = architecture.described(architecture.imports())
    assert architecture.drawn() == now, "draw it again: python docs/tools/architecture.py"


def test_an_import_that_a_longer_path_implies_is_not_drawn():
    edges = {("a", "b"), ("b", "c"), ("a", "c")}
    assert tool("architecture").without_implied(edges) == {("a", "b"), ("b", "c")}


def test_the_reference_has_every_room():
    pages = tool("pages")
    nav = (ROOT / "mkdocs.yml").read_text()
    for room in pages.rooms():
        assert f"api/{room}.md" in nav, f"mkdocs.yml has no page for plmjax.{room}"
    assert "::: plmjax.data.store.store\n" in pages.api_page("data")


def test_the_status_page_has_every_documented_variant():
    pages = tool("pages")
    rows = {(file, cells[0]) for file, cells in pages.status_rows()}
    assert {("bert.py", "base"), ("finetune/bert.py", "corrected"), ("evaluate.py", "blimp")} <= rows
    measured = {(file, cells[0]) for file, cells in pages.status_rows() if pages.is_measured(cells)}
    assert ("bert.py", "mini") in measured and ("bert.py", "base") not in measured


def test_the_changelog_has_every_renamed_field():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert tool("renames").with_table(text) == text, "write them: python docs/tools/renames.py"


@pytest.mark.parametrize("cell", json.loads((DOCS / "notebooks" / "quickstart.ipynb").read_text())["cells"])
def test_the_notebook_has_outputs_without_errors(cell):
    """Its execution is docs/check.sh; here the stored outputs are looked at."""
    outputs = cell.get("outputs", [])
    assert not any(output["output_type"] == "error" for output in outputs)
    if cell["cell_type"] == "code":
        assert cell["execution_count"]
