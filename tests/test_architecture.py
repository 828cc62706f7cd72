"""The shape of the code: imports point one way, importing does nothing, and only the command line prints."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "facecli"
HEAVY = {"numpy", "cv2", "onnxruntime", "faiss", "rich", "onnx", "requests", "PIL", "torch", "matplotlib", "scipy"}
NEIGHBOURLESS = {"pipeline", "capabilities", "ground"}


def _rows() -> dict[str, tuple[int, str]]:
    """Read the table of docs/architecture.md: module -> (depth, row)."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (\w+) \| (`.*?) \|", text, re.MULTILINE)
    return {name: (depth, row) for depth, (row, cell) in enumerate(table) for name in re.findall(r"`(\w+)`", cell)}


def _module_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def _imported(path: Path) -> set[str]:
    """Return the facecli modules that a file imports anywhere, for types included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "facecli":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("facecli."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("facecli.")}
    return found


FILES = sorted(SOURCE.rglob("*.py"))


def test_the_page_names_every_module_and_no_other():
    assert {_module_of(path) for path in FILES} == set(_rows())


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_down(path):
    rows = _rows()
    module = _module_of(path)
    depth, row = rows[module]
    for other in _imported(path) - {module}:
        other_depth, _ = rows[other]
        neighbours_allowed = row not in NEIGHBOURLESS
        assert other_depth > depth or (neighbours_allowed and other_depth == depth), f"{module} imports {other}"


@pytest.mark.parametrize("path", [f for f in FILES if _module_of(f) != "cli"], ids=lambda p: str(p.relative_to(SOURCE)))
def test_only_the_command_line_knows_click_and_rich(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"^\s*(import|from) (click|rich)\b", text, re.MULTILINE)
    assert not re.search(r"(?<![\w.])print\(", text)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["verify", "--help"], ["config", "show"]])
def test_starting_imports_nothing_heavy(arguments):
    code = f"import sys\nfrom facecli.cli._root import run\nrun({arguments!r})\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_plain())
    assert not HEAVY & set(done.stderr.split())


@pytest.mark.parametrize("module", sorted(_rows()))
def test_importing_a_module_loads_nothing_heavy(module):
    name = "facecli" if module == "__init__" else f"facecli.{module}"
    code = f"import {name}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_plain())
    assert not HEAVY & set(done.stdout.split())


def _plain() -> dict[str, str]:
    """Return this environment without settings of facecli, to import from the same tree."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FACECLI_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(sys.path)}
