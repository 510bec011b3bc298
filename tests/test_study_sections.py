"""Sections and plots of any study: what stands in the conclusion is what the README, the figures and the page show."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from jominy.conclusion import Conclusion, Entry, Line, Panel, Plot, Point, Section, Table
from jominy.reporting.study import marked, study_page_of
from jominy.studies import study
from jominy.studies.alignment import STUDY
from jominy.studies.concluding import conclude
from jominy.studies.figures import draw_figures
from jominy.studies.writing import readme_of
from tests.study_results import planted

TABLE = Table(
    caption="Cells of `lab`",
    header=("model", "S", "judged"),
    rows=(
        (Entry(text="a|b <i>"), Entry(text="+0.31", tone="sure", rest="[+0.20, +0.42]"), Entry(text="right", tone="good")),
        (Entry(text="early", tone="code"), Entry(text="undefined (one class)", tone="muted"), Entry(text="open", tone="watch")),
    ),
    note="See `S`.",
    items=("one", "**two**"),
)
DETAIL = Table(header=("prompt",), rows=((Entry(text="2 + 2"),),), caption="Each prompt", folded=True)


def point(x: float, y: float, group: str, **more: Any) -> Point:
    return Point(label=f"{group} at {x:g}", x=x, y=y, low=y - 1, high=y + 1, group=group, **more)


SCATTER = Plot(
    code="separation",
    section="clarity",
    title="Gain against S",
    caption="Gain against S, each model a dot",
    kind="scatter",
    x_label="S",
    y_label="gain, points",
    panels=(
        Panel(
            title="all models",
            points=(point(0.1, 3.0, "noise"), point(0.4, 9.0, "early<b>", side="strong")),
            lines=(Line(label="fit", x=(0.0, 0.5), y=(1.0, 11.0)),),
        ),
        Panel(title="none", points=(), missing="No model has S."),
    ),
)
LINES = replace(
    SCATTER,
    code="along",
    kind="line",
    panels=(Panel(title="along", points=(point(20, 2.0, "weighted"), point(10, 1.0, "weighted"), point(10, 1.5, "base"))),),
)


@pytest.fixture
def found(tmp_path, monkeypatch) -> Conclusion:
    """A study with a section of its own, on the runs of another."""
    own = replace(
        STUDY,
        sections=lambda runs, head: (Section(code="clarity", title="Does `S` say?", text="A **bold** word.", tables=(TABLE, DETAIL)),),
        plots=lambda runs, head: (SCATTER, LINES),
    )
    monkeypatch.setattr("tests.study_results.STUDY", own, raising=False)
    monkeypatch.setitem(study.STUDIES, "alignment", "tests.study_results:STUDY")
    return conclude(planted(tmp_path, prompts=8, rollouts=4))


def test_the_readme_shows_sections_in_their_order(found):
    text = readme_of(found, ("separation.svg", "along.svg"))
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings[1:5] == [
        "## Where it was run: the base models",
        "## What each arm gained",
        "## How far each arm moved the model",
        "## Does `S` say?",
    ]
    section = text.split("## Does `S` say?\n\n")[1].split("\n\n## ")[0]
    assert section == (
        "A **bold** word.\n\n"
        "Cells of `lab`:\n\n"
        "| model | S | judged |\n"
        "| --- | --- | --- |\n"
        "| a\\|b <i> | **+0.31** [+0.20, +0.42] | **right** |\n"
        "| `early` | undefined (one class) | **open** |\n\n"
        "See `S`.\n\n- one\n- **two**\n\n"
        "![Gain against S, each model a dot](figures/separation.svg)\n\n"
        "![Gain against S, each model a dot](figures/along.svg)"
    )


def test_the_page_shows_sections_and_draws_plots(found):
    page = study_page_of(json.loads(json.dumps(found.to_json())))
    section = page.split('<section id="clarity"')[1].split("</section>")[0]
    assert "Does <code>S</code> say?" in section
    assert "a|b &lt;i&gt;" in section
    assert '<b class="sure">+0.31</b><span class="meaning">[+0.20,\u00a0+0.42]</span>' in section
    assert '<td data-label="S" class="figure">' in section
    assert '<td data-label="judged"><span class="badge good">' in section
    assert "<summary>Each prompt</summary>" in section
    assert "Not drawn. No model has S." in section
    figures = json.loads(page.split('id="data">')[1].split("</script>")[0])["figures"]
    assert set(figures) == {"separation-0", "along-0"}
    fit, noise, early = figures["separation-0"]["data"]
    assert (fit["x"], fit["y"], fit["meta"]) == ([0.0, 0.5], [1.0, 11.0], "ink")
    assert (noise["x"], noise["y"], early["name"]) == ([0.1], [3.0], "early&lt;b&gt;")
    assert noise["error_y"]["array"] == noise["error_y"]["arrayminus"] == [1.0]
    assert noise["marker"]["symbol"] != early["marker"]["symbol"]
    weighted, base = figures["along-0"]["data"]
    assert (weighted["x"], weighted["y"], weighted["mode"]) == ([10, 20], [1.0, 2.0], "lines+markers")
    assert base["x"] == [10]


@pytest.mark.parametrize(("code", "name"), [("kl", "KL"), ("paid-and-true", "Paid and true"), ("clarity", "Clarity")])
def test_the_navigation_names_sections_by_their_codes(found, code, name):
    stored = json.loads(json.dumps(found.to_json()))
    stored["sections"][0]["code"] = code
    assert f'<a href="#{code}">{name}</a>' in study_page_of(stored)


def test_what_a_claim_says_of_an_arm_by_its_code_name(found):
    stored = json.loads(json.dumps(found.to_json()))
    stored["claims"][0] |= {"found": "more than `sft <b>`", "rule": "by `S`"}
    page = study_page_of(stored)
    assert "more than <code>sft &lt;b&gt;</code>" in page
    assert "by <code>S</code>" in page


def test_figures_are_of_plots_with_points(found):
    drawn = draw_figures(found)
    assert set(drawn) == {"separation.svg", "along.svg"}
    assert all(ElementTree.fromstring(data).tag.endswith("svg") for data in drawn.values())
    assert drawn == draw_figures(found)
    empty = replace(SCATTER, panels=SCATTER.panels[1:])
    assert draw_figures(replace(found, plots=(empty,))) == {}


def test_marks_are_the_only_html():
    assert marked("`a<b` & **c** <i>") == "<code>a&lt;b</code> &amp; <b>c</b> &lt;i&gt;"


def test_a_plot_without_its_section_is_our_mistake(found, tmp_path, monkeypatch):
    lost = replace(STUDY, plots=lambda runs, head: (SCATTER,))
    monkeypatch.setattr("tests.study_results.STUDY", lost)
    with pytest.raises(AssertionError, match="stands in none of the sections"):
        conclude(planted(tmp_path / "lost", prompts=8, rollouts=4))
