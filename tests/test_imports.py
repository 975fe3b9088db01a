"""Directions that never turn round: ui → experiments → solvers → hierarchy, sde; and what ``import mlem`` brings along."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mlem

ROOT = Path(mlem.__file__).parent.parent
PAGES = ("streamlit", "plotly")
HEAVY = (*PAGES, "diffusers", "transformers")
SOLVERS = ("solvers", "march", "firing", "ledger", "hierarchy", "sde", "brownian", "streams", "checks", "errors")


def modules(root: Path) -> dict[str, Path]:
    """Every module of the package, by its dotted name."""
    found = {}
    for file in sorted((root / "mlem").rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(name: str, file: Path) -> set[str]:
    """The dotted names that a module imports, wherever in its code, and the packages on the way to them. Of ``from a import b``
    both a and a.b, since b may be a module."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    named: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            named |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return {".".join(one.split(".")[:depth]) for one in named for depth in range(1, one.count(".") + 2)}


def reached(root: Path, start: str) -> set[str]:
    """All that importing ``start`` may import, through the package's own modules."""
    files, todo, seen = modules(root), [start], {start}
    while todo:
        name = todo.pop()
        if name in files:
            new = imports(name, files[name]) - seen
            seen |= new
            todo += new
    return seen


def is_ui(name: str) -> bool:
    return name == "mlem.ui" or name.startswith("mlem.ui.")


BELOW_UI = [name for name in modules(ROOT) if not is_ui(name)]


def test_the_walk_finds_the_library() -> None:
    assert {"mlem", "mlem.solvers", "mlem.ui.stage"} <= set(modules(ROOT))
    assert {"mlem.solvers", "mlem.sde", "mlem.streams", "torch"} <= reached(ROOT, "mlem")
    assert "streamlit" in reached(ROOT, "mlem.ui.stage")


@pytest.mark.parametrize("name", BELOW_UI)
def test_nothing_below_ui_draws(name: str) -> None:
    assert not {one for one in reached(ROOT, name) if one in PAGES or is_ui(one)}


@pytest.mark.parametrize("name", [f"mlem.{name}" for name in SOLVERS])
def test_solvers_know_neither_problems_nor_experiments_nor_images(name: str) -> None:
    above = {"mlem.problems", "mlem.synthetic", "mlem.planning", "mlem.experiments", "mlem.images"}
    assert not imports(name, modules(ROOT)[name]) & above


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("mlem/solvers.py", "def late():\n    import plotly.graph_objects as go\n"),
        ("mlem/solvers.py", "from streamlit import cache_data\n"),
        ("mlem/solvers.py", "from mlem.deep import under\n"),
        ("mlem/solvers.py", "from .deep import under\n"),
        ("mlem/solvers.py", "from . import deep\nfrom .deep.under import x\n"),
        ("mlem/solvers.py", "import mlem.ui\n"),
    ],
    ids=["within a function", "at the top", "two modules away", "relative", "relative to the package", "the ui itself"],
)
def test_a_forbidden_import_is_found(tmp_path: Path, file: str, code: str) -> None:
    made = {
        "mlem/__init__.py": "",
        "mlem/ui/__init__.py": "import streamlit\n",
        "mlem/deep/__init__.py": "",
        "mlem/deep/under.py": "import streamlit as st\nx = st\n",
        file: code,
    }
    for name, text in made.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert {one for one in reached(tmp_path, "mlem.solvers") if one in PAGES or is_ui(one)}


def test_importing_mlem_is_light() -> None:
    code = f"import sys, mlem; print([name for name in {HEAVY!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["mlem.experiments.sample_store", "mlem.ui.faces_view", "mlem.ui.boot"])
def test_a_page_of_pictures_needs_no_network(name: str) -> None:
    """diffusers takes seconds to import: it waits for the first network."""
    code = f"import sys, {name}; print('diffusers' in sys.modules)"
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_the_names_that_others_rely_on_are_exported() -> None:
    relied = "SDE Level Hierarchy BrownianPath synthetic_hierarchy spectral_hierarchy power_law optimal problems strong_error"
    relied += " euler_maruyama multilevel_euler_maruyama"
    assert set(relied.split()) <= set(mlem.__all__)
    assert all(hasattr(mlem, name) for name in mlem.__all__)
    assert callable(mlem.problems.get)
