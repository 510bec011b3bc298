"""The folder of a study: the same results give the same bytes, the README says what the conclusion says, the page opens like any report."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from jominy.reporting import report
from jominy.studies.concluding import conclude
from jominy.studies.results import write_results
from jominy.studies.writing import readme_of, write_study
from tests.study_results import planted

CELLS = ("adder, sums", "adder, spelling", "smollm2, title", "smollm2, quoted")
FILES = ("README.md", "conclusion.json", "report.html", "figures/gains.svg", "figures/alignment.svg")


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[str, Any]:
    """Two strong and two weak cells, of both groups."""
    whole = planted(tmp_path_factory.mktemp("results"), prompts=16, rollouts=8)
    kept = [cell for cell in whole["cells"] if cell["name"] in CELLS]
    parts = {name: [one for one in whole[name] if one["cell"] in CELLS] for name in ("runs", "not_defined")}
    return whole | {"cells": kept} | parts


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("study")
    write_results(path, results)
    write_study(path, results)
    return path


def test_the_same_results_give_the_same_bytes(results, folder, tmp_path):
    write_study(tmp_path, results)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_the_readme_says_what_the_conclusion_says(results, folder):
    text, found = (folder / "README.md").read_text(), conclude(results)
    assert "| the paper says | we ran | we found | agree? |" in text
    for claim in found.claims:
        assert claim.found in text
        assert claim.rule in text
    assert f"{found.num_finished} of {found.num_planned} planned runs finished" in text
    # 16.7 / 30.2 of the paper stands beside ours
    assert re.search(r"\| random in form \| [\d.]+ % \[.*55 % \(Qwen, MATH500\)", text)
    assert "`jominy study alignment --scale full --out DIR`" in text
    assert "| exploded | adder, sums | entropy | 0 | the loss is NaN at step 4 |" in text
    assert len(re.findall(r"^Cells of `", text, flags=re.MULTILINE)) == 4  # two groups, gains and live prompts


def test_every_table_has_as_many_cells_in_each_line(folder):
    for block in (folder / "README.md").read_text().split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) <= 1, rows[:1]


def test_pictures_are_drawn_and_linked(folder):
    text = (folder / "README.md").read_text()
    for name in ("gains.svg", "alignment.svg"):
        assert f"](figures/{name})" in text
        root = ElementTree.parse(folder / "figures" / name).getroot()
        assert root.tag.endswith("svg")
        assert "dc:date" not in (folder / "figures" / name).read_text()


def test_the_page_is_a_report_of_its_folder(folder):
    assert report(folder) == folder / "report.html"
    page = (folder / "report.html").read_text()
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    # a plot for each of 4 cells and 15 arms
    assert len(data["figures"]) == 19
    drawn = data["figures"]["gain-0"]["data"][0]
    conclusion = json.loads((folder / "conclusion.json").read_text())
    first = next(gain for gain in conclusion["gains"] if gain["cell"] == conclusion["cells"][0]["name"])
    assert drawn["x"][0] == pytest.approx(100 * first["measure"]["value"])
    assert page.count('class="card finding claim') == len(conclusion["claims"])
    assert 'id="rollouts"' not in page


def test_a_study_of_nothing_is_a_page_too(results, tmp_path):
    write_study(tmp_path, results | {"runs": [], "cells": [{**cell, "base": None} for cell in results["cells"]], "environment": None})
    text = (tmp_path / "README.md").read_text()
    # 2 lab cells x 15 arms x 5 seeds and 2 smollm2 cells x 14 arms x 3 seeds
    assert "planned runs finished, **234 still missing**" in text
    assert "No figures" in text
    assert not (tmp_path / "figures").exists()
    assert "234 of 234 planned runs are missing" in (tmp_path / "report.html").read_text()


def test_without_matplotlib_the_readme_says_what_is_missing(results, tmp_path, monkeypatch):
    monkeypatch.setattr("jominy.studies.writing.find_spec", lambda name: None)
    write_study(tmp_path, results)
    assert "pip install 'jominy[study]'" in (tmp_path / "README.md").read_text()
    assert (tmp_path / "report.html").is_file()


def test_smoke_is_no_evidence(results):
    assert "no evidence" in readme_of(conclude(results | {"scale": "smoke", "runs": results["runs"][:3]}), ())


def test_names_are_escaped_on_the_page(results, tmp_path):
    cells = [{**cell, "model_title": "<script>alert(1)</script>", "task": "a|b<i>"} for cell in results["cells"]]
    write_study(tmp_path, results | {"runs": [], "cells": cells})
    assert "<script>alert(1)" not in (tmp_path / "report.html").read_text()
    assert "a|b<i>" not in (tmp_path / "report.html").read_text()
    assert "`a\\|b<i>`" in (tmp_path / "README.md").read_text()


def test_a_broken_conclusion_is_a_clear_error(folder, tmp_path):
    conclusion = json.loads((folder / "conclusion.json").read_text())
    del conclusion["claims"]
    (tmp_path / "conclusion.json").write_text(json.dumps(conclusion))
    with pytest.raises(ValueError, match=r"conclusion\.claims is missing.*jominy study"):
        report(tmp_path)


def test_only_figures_need_matplotlib():
    import subprocess

    code = "import sys, jominy.studies.concluding, jominy.studies.writing; sys.exit('matplotlib' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
