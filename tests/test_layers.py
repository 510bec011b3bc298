"""Imports point down only, the floor stays free of torch, and the tree in the README is the tree."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "jominy"

LAYERS: tuple[tuple[str, ...], ...] = (
    ("traces",),
    ("records", "formatting", "blockcurves"),
    ("groups", "results", "papers", "runfile", "refined"),
    ("stats", "packing", "files", "store", "progress", "watching", "tracking", "specs", "thresholds", "schedule", "interrupting"),
    ("steplog", "configuring", "explanation", "conclusion"),
    ("tables", "trainfolder", "interpretation", "measures", "rewards", "engines"),
    ("recipes", "tasks", "audited"),
    (
        "evidence",
        "histograms",
        "pairing",
        "outcome",
        "crediting",
        "grading",
        "selecting",
        "judging",
        "localjudge",
        "tracing",
        "readers",
        "confusion",
    ),
    ("decided", "lab"),
    ("alignment", "live_checks", "probed", "tallying", "paying", "oversight"),
    ("trusting",),
    ("findings", "stepline", "overseeing"),
    ("advice", "verdict", "costing", "explaining"),
    ("reporting", "checking"),
    ("sampling", "diagnosis"),
    ("preparing", "probing", "interpreting", "correcting"),
    ("batches", "evaluating"),
    ("updating", "auditing"),
    ("training", "deciding"),
    ("refining",),
    ("studies",),
    (
        "printing",
        "printing_training",
        "printing_study",
        "printing_interpretation",
        "printing_decisions",
        "printing_audit",
        "printing_refine",
    ),
    ("verbs",),
    ("cli",),
    ("__init__", "__main__"),
)
"""Lowest first; a module may import from its own layer's package and from below."""

HEAVY = {"torch", "transformers"}
PURE = {"measures", "recipes", "stats", "groups", "records", "traces"}


def room(path: Path) -> str:
    """Top-level module or package a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Absolute names of everything that the file imports, wherever it does."""
    tree = ast.parse(path.read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
    return names


FILES = sorted(SOURCE.rglob("*.py"))
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path):
    own = room(path)
    assert own in HEIGHT, f"{own} has no layer; say in tests/test_layers.py where it belongs"
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] != "jominy" or len(parts) == 1:
            continue
        assert parts[1] == own or HEIGHT[parts[1]] < HEIGHT[own], f"{own} imports {name}, which is not below it"


@pytest.mark.parametrize("path", [p for p in FILES if room(p) in PURE], ids=lambda path: str(path.relative_to(SOURCE)))
def test_science_is_free_of_torch_and_files(path):
    found = {name.split(".")[0] for name in imports_of(path)}
    assert not found & (HEAVY | {"pathlib", "logging", "pyarrow", "rich"})


@pytest.mark.parametrize("path", [p for p in FILES if room(p) in {"tasks", "rewards"}], ids=lambda path: str(path.relative_to(SOURCE)))
def test_tasks_and_rewards_know_records_and_files_only(path):
    allowed = {"records", "traces", "files", "tasks", "rewards"}
    for name in imports_of(path):
        if name.startswith("jominy."):
            assert name.split(".")[1] in allowed, f"{path}: imports {name}"


def test_the_tree_in_the_readme_is_the_tree():
    text = (ROOT / "README.md").read_text()
    block = text.split("<!-- tree -->")[1]
    named = set(re.findall(r"^\s*([\w/]+(?:\.py|/))", block, flags=re.MULTILINE))
    there = {p.name for p in SOURCE.glob("*.py")} | {f"{p.name}/" for p in SOURCE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert named - {"src/jominy/"} == there
