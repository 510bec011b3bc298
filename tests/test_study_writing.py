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
from jominy.reporting.study import study_page_of
from jominy.studies import sections
from jominy.studies.concluding import conclude
from jominy.studies.results import write_results
from jominy.studies.writing import readme_of, write_study
from tests.study_results import planted

CELLS = ("adder, sums", "adder, spelling", "smollm2, title", "smollm2, all_lowercase")
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


def shown(results: dict[str, Any]) -> tuple[str, str]:
    """README and page, without pictures."""
    found = conclude(results)
    return readme_of(found, ()), study_page_of(json.loads(json.dumps(found.to_json())))


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
    assert re.search(r"\| random in form \| [\d.]+ % \[.*55\.3 % \(Qwen, MATH500\)", text)
    assert "`jominy study alignment --scale full --out DIR`" in text
    assert "| exploded | adder, sums | low entropy | 0 | the loss is NaN at step 4 |" in text
    assert len(re.findall(r"^Cells of `", text, flags=re.MULTILINE)) == 6  # two groups; gains, KL and live prompts


def test_an_arm_that_is_not_planned_is_said_with_its_reason(results):
    slow, here = "not run in this group: it takes too long", ("smollm2, title", "smollm2, all_lowercase")
    pairs = [(here[0], "random", slow), (here[0], "entropy", slow), (here[1], "entropy", slow)]
    undefined = [*results["not_defined"], *({"cell": cell, "arm": arm, "why": why} for cell, arm, why in pairs)]
    runs = [run for run in results["runs"] if (run["cell"], run["arm"]) not in {pair[:2] for pair in pairs}]
    text, page = shown(results | {"runs": runs, "not_defined": undefined})
    gains = text.split("## What each arm gained")[1].split("## ")[0].split("Cells of `smollm2`")[1]
    assert "Not planned: majority vote (the task extracts no answer that could be voted on); " in gains
    assert f"random in `smollm2, title` ({slow}); low entropy ({slow})." in gains
    assert "| random | not planned |" in gains
    assert "| low entropy |" not in gains
    assert "not run |" not in gains
    assert f"low entropy ({slow})" in page
    assert "random in <code>smollm2, title</code> (" in page


@pytest.mark.parametrize(("most", "told"), [(2, "random, low entropy ("), (1, "2 other arms (")])
def test_of_many_arms_that_are_not_planned_the_number_is_told(results, monkeypatch, most, told):
    monkeypatch.setattr(sections, "MOST_NAMED", most)
    cells = [cell["name"] for cell in results["cells"] if cell["group"] == "smollm2"]
    pairs = [{"cell": cell, "arm": arm, "why": "elsewhere"} for cell in cells for arm in ("random", "entropy")]
    runs = [run for run in results["runs"] if (run["cell"], run["arm"]) not in {(pair["cell"], pair["arm"]) for pair in pairs}]
    text, _ = shown(results | {"runs": runs, "not_defined": [*results["not_defined"], *pairs]})
    assert told + "elsewhere" in text.split("Cells of `smollm2`")[1]


def test_kl_has_a_table_of_its_own(results):
    runs = [run | {"kl_nats": 0.125} if run["arm"] == "random_format" else run for run in results["runs"]]
    text, page = shown(results | {"runs": runs})
    table = text.split("## How far each arm moved the model")[1].split("## ")[0]
    assert "| random in form | 0.125 | 0.125 |" in table
    assert "| true reward | 0.02 | 0.02 |" in table
    section = page.split('id="moved"')[1].split("</section>")[0]
    assert section.count(">0.125<") == 4


def test_an_arm_without_example_is_no_zero(results):
    lost: dict[str, Any] = {"status": "no example", "why": "no base prompt is mixed", "before": [], "after": None, "kl_nats": None}
    runs = [run | lost if (run["cell"], run["arm"]) == ("adder, spelling", "one_shot_random") else run for run in results["runs"]]
    text, page = shown(results | {"runs": runs})
    row = "undefined: no run found an example to train on; 5 without example"
    assert "| one example, random | **+" in text
    assert row in text
    assert "5 without an example to train on" in text
    assert "still missing" not in text
    assert "| no example | adder, spelling | one example, random | 0, 1, 2, 3, 4 | no base prompt is mixed |" in text
    assert "no run found an example to train on" in page


def test_several_environments_are_told_apart(results):
    there = [{"python": "3.11.0", "device": "cpu"}, {"python": "3.12.1", "device": "cpu"}]
    runs = [run | {"environment": int(run["seed"] == 2)} for run in results["runs"]]
    text, page = shown(results | {"runs": runs, "environments": there})
    assert "The runs were made in 2 environments" in text
    # of 234 runs, seed 2 has 2 x 15 + 2 x 14
    assert "| environment 1: runs | 176 |" in text
    assert "| environment 2: runs | 58 |" in text
    assert "| environment 2: python | 3.12.1 |" in text
    assert "environment 2: device" not in text
    assert "environment 2.python" in page


def test_a_study_without_any_example_is_written(results, tmp_path):
    lost: dict[str, Any] = {"status": "no example", "why": "none", "before": [], "after": None, "kl_nats": None}
    write_study(tmp_path, results | {"runs": [run | lost for run in results["runs"]]})
    assert "0 of 234 planned runs finished, 234 without an example to train on" in (tmp_path / "README.md").read_text()
    assert not (tmp_path / "figures").exists()


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
    drawn = data["figures"]["gains-0"]["data"][0]
    conclusion = json.loads((folder / "conclusion.json").read_text())
    first = next(gain for gain in conclusion["gains"] if gain["cell"] == conclusion["cells"][0]["name"])
    assert drawn["x"][0] == pytest.approx(100 * first["measure"]["value"])
    assert page.count('class="card finding claim') == len(conclusion["claims"])
    assert 'id="rollouts"' not in page


def test_a_study_of_nothing_is_a_page_too(results, tmp_path):
    write_study(tmp_path, results | {"runs": [], "cells": [{**cell, "base": None} for cell in results["cells"]], "environments": []})
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
