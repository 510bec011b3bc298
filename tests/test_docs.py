"""Examples run and stay short, the docstrings' examples hold, and the documents say what the code does."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jominy
from jominy.thresholds import DEFAULTS

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NEEDS_TORCH = ("jominy.engines.",)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_run_and_are_short(path):
    assert len(path.read_text().splitlines()) < 100
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def modules() -> list[str]:
    return [info.name for info in pkgutil.walk_packages(jominy.__path__, "jominy.") if not info.name.endswith("__main__")]


@pytest.mark.parametrize("name", modules())
def test_docstring_examples_hold(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_every_public_name_is_there():
    for name in jominy.__all__:
        assert getattr(jominy, name) is not None
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        jominy.nothing_of_the_kind  # noqa: B018


def test_the_threshold_table_is_the_thresholds():
    text = (ROOT / "docs" / "choices.md").read_text().split("<!-- thresholds -->")[1]
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| (.+) \|$", text, flags=re.MULTILINE)
    assert rows == [(t.name, f"{t.value:g}", t.meaning) for t in DEFAULTS]


def test_links_between_documents_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "bench" / "README.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which does not exist"
