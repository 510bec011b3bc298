"""The page: complete, honest about what is missing, deaf to the network, and deaf to whatever a model wrote."""

from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from jominy.formatting import number
from jominy.reporting import page_of, report
from jominy.reporting.figures import draw_curve, draw_histogram
from jominy.reporting.reading import choose, outcome, read_rows, rollout_of, thin
from jominy.store import RunFolder, read_json, write_json
from tests.page_fixture import make_diagnosis, make_prompts, make_rollouts, write_folder
from tests.page_hostile import HOSTILE, write_hostile_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_folder(tmp_path_factory.mktemp("page") / "run")
    report(path)
    return path


@pytest.fixture(scope="module")
def diagnosis(folder: Path) -> dict[str, Any]:
    return read_json(folder / "diagnosis.json")


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict[str, Any]]:
    return read_rows(RunFolder(folder), 600)


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_hostile_folder(tmp_path_factory.mktemp("hostile") / "run")
    report(path)
    return path


class Elements(HTMLParser):
    """Which elements and attributes a page has, and what its links point to; an oracle that shares no code with the template."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()
        self.targets: list[str] = []
        self.handlers: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1
        self.targets += [
            value or "" for name, value in attrs if name in ("src", "href", "action", "srcset", "data", "poster", "formaction")
        ]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


# ---- what the file is


def test_the_page_is_written_whole_and_leaves_nothing_aside(folder: Path) -> None:
    assert report(folder) == folder / "report.html"
    assert sorted(path.name for path in folder.iterdir()) == ["diagnosis.json", "prompts.parquet", "report.html", "rollouts", "run.json"]


def test_the_file_points_nowhere_but_to_itself_and_arxiv(html: str) -> None:
    found = Elements(html)
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(found.seen)
    assert found.handlers == []
    assert {target.split("/abs/")[0] for target in found.targets if not target.startswith("#")} == {"https://arxiv.org"}


def test_the_policy_allows_no_inline_script_and_no_loading(html: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.group(1).replace("&#39;", "'").split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in rules["script-src"]
    assert "http" not in policy.group(1)


def test_the_same_input_gives_the_same_bytes(folder: Path, html: str) -> None:
    assert report(folder).read_text(encoding="utf-8") == html


def test_every_measure_finding_and_threshold_is_on_the_page(diagnosis: dict[str, Any], html: str) -> None:
    for measure in diagnosis["measures"]:
        assert f'<th scope="row">{measure["name"]}' in html
    for text in (
        "[50.9, 80.7]",
        "[−0.049, 0.008]",
        "undefined: the task has no finite answer space",
        "1,556,480",
        "2026-11-21 20:34 UTC",
    ):
        assert text in html
    for finding in diagnosis["findings"]:
        assert finding["title"] in html
        assert finding["prescription"] in html
    for threshold in diagnosis["thresholds"]:
        assert threshold["meaning"] in html
    assert html.index(diagnosis["verdict"]["headline"]) < html.index(diagnosis["findings"][0]["title"])


def test_hostile_text_adds_no_element_and_cannot_close_the_data_block(hostile_folder: Path) -> None:
    html = (hostile_folder / "report.html").read_text(encoding="utf-8")
    record, run = read_json(hostile_folder / "diagnosis.json"), RunFolder(hostile_folder).read_run()
    rows = read_rows(RunFolder(hostile_folder), 600)
    tame = json.loads(json.dumps([record, rows, run]).replace(json.dumps(HOSTILE)[1:-1], "tame"))
    assert Elements(html).seen == Elements(page_of(*tame)).seen
    assert Elements(html).handlers == []
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    assert block is not None
    assert not set("<>&\u2028") & set(block.group(1))
    assert json.loads(block.group(1))["rollouts"][0]["text"] == HOSTILE
    assert "{{7*7}}" in html.split('id="data"')[0]  # shown, not evaluated by the template engine


def test_only_arxiv_identifiers_become_links(diagnosis: dict[str, Any]) -> None:
    paper = {"arxiv": "javascript:alert(1)", "title": "evil", "where": ""}
    finding = {**diagnosis["findings"][0], "reference": paper}
    html = page_of({**diagnosis, "findings": [finding]}, [], None)
    assert not [target for target in Elements(html).targets if "javascript" in target]


# ---- what is missing is said


def test_a_foreign_diagnosis_has_no_rollouts_and_says_so(tmp_path: Path, diagnosis: dict[str, Any]) -> None:
    source = {"path": "logs/theirs.jsonl", "success": 0.5}
    write_json(tmp_path / "diagnosis.json", {**diagnosis, "source": source, "cost": None, "first_failure": "", "num_unscored": 0})
    html = report(tmp_path).read_text(encoding="utf-8")
    assert "No rollouts to read" in html
    assert "nothing was timed" in html
    assert "logs/theirs.jsonl" in html
    assert "could not be scored" not in html
    assert 'id="filters"' not in html.split("<script>")[0]


def test_a_missing_plot_says_why(diagnosis: dict[str, Any]) -> None:
    skipped = [{"code": "clarity", "missing": "log-probabilities (column `logprobs`)"}]
    html = page_of({**diagnosis, "histograms": diagnosis["histograms"][:1], "skipped": skipped}, [], None)
    assert html.count("Not drawn. clarity: needs log-probabilities (column `logprobs`).") == 2  # probability and silhouette


def test_an_empty_diagnosis_is_still_a_page(diagnosis: dict[str, Any]) -> None:
    parts = ("findings", "skipped", "advice", "measures", "curves", "histograms", "clouds", "prompts", "thresholds")
    html = page_of({**diagnosis, **{part: [] for part in parts}}, [], None)
    assert html.count("Not drawn. The diagnosis holds no such data.") == 5
    assert diagnosis["verdict"]["headline"] in html


@pytest.mark.parametrize("field", ["source", "verdict", "findings", "curves", "cost", "prompts", "thresholds"])
def test_a_diagnosis_without_a_field_is_refused_by_name(diagnosis: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=rf"diagnosis\.{field} is missing"):
        page_of({key: value for key, value in diagnosis.items() if key != field}, [], None)


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("verdict", {"value": "maybe", "rule": "", "headline": ""}, "verdict.value is 'maybe', expected one of go, fix first, stop"),
        ("findings", [{"code": "x", "severity": "fix", "evidence": [], "prescription": ""}], r"findings\[0\].title is missing"),
        ("num_prompts", "32", "num_prompts is '32', expected a whole number"),
        ("thresholds", [{"name": "x", "value": float("nan"), "meaning": ""}], r"thresholds\[0\].value is 'nan', expected a finite number"),
        (
            "curves",
            [{"name": "a", "x_name": "k", "x": [1, 2], "value": [0.1], "low": [], "high": [], "num_prompts": []}],
            r"curves\[0\].value has 1",
        ),
        ("histograms", [{"name": "a", "unit": "", "edges": [0, 1], "series": {"s": [1, 2]}}], r"histograms\[0\].series.s has 2 bins"),
    ],
)
def test_a_broken_value_is_refused_by_name(diagnosis: dict[str, Any], part: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        page_of({**diagnosis, part: value}, [], None)


def test_missing_broken_and_newer_files_are_named(tmp_path: Path, diagnosis: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"diagnosis\.json does not exist; run `jominy diagnose"):
        report(tmp_path)
    write_json(tmp_path / "diagnosis.json", {**diagnosis, "schema_version": 99})
    with pytest.raises(ValueError, match=r"diagnosis\.json has `schema_version` 99"):
        report(tmp_path)
    write_json(tmp_path / "diagnosis.json", {**diagnosis, "advice": None})
    with pytest.raises(ValueError, match=r"diagnosis\.json: diagnosis\.advice is 'None', expected a list"):
        report(tmp_path)
    assert not (tmp_path / "report.html").exists()


# ---- which rollouts, and how they are read


def test_rollouts_are_chosen_evenly_over_the_prompts() -> None:
    ids = ["a"] * 5 + ["b"] * 1 + ["c"] * 5
    # rounds: a0 b5 c6, then a1 c7 (b has none left), then a2: six in all
    assert choose(ids, 6) == [0, 1, 2, 5, 6, 7]
    assert choose(ids, 100) == list(range(11))
    assert choose(["a", "b", "a", "b"], 3) == [0, 2, 1]
    assert choose([str(i) for i in range(10)], 4) == [0, 2, 5, 7]  # 10/4 = 2.5 apart, rounded down
    assert choose([], 4) == []


def test_rows_come_from_all_files_with_their_target(folder: Path) -> None:
    rows = read_rows(RunFolder(folder), 40)
    counts = Counter(row["prompt_id"] for row in rows)
    assert len(rows) == 40
    assert sorted(counts.values()) == [1] * 24 + [2] * 8  # 40 = 32 + 8
    assert {row["target"] for row in rows} == {prompt.target for prompt in make_prompts()}


def test_long_responses_leave_fewer_of_them() -> None:
    rows = [{"prompt_id": prompt, "text": "x" * 1000} for prompt in "aaabbb"]
    assert thin(rows, most=6000) == rows
    assert [row["prompt_id"] for row in thin(rows, most=4000)] == ["a", "a", "b", "b"]  # 6 * 4000 / 6000 = 4
    assert len(thin(rows, most=10)) == 1


def test_right_and_wrong_follow_gold_then_reward() -> None:
    assert outcome({"reward": 0.5}, success=0.5) == "right"
    assert outcome({"reward": 0.4}, success=0.5) == "wrong"
    assert outcome({"reward": 1.0, "gold": 0.0}, success=0.5) == "wrong"
    assert outcome({"reward": None, "gold": 1.0}, success=0.5) == "unscored"
    assert outcome({"reward": float("nan")}, success=0.5) == "unscored"


def test_tokens_are_shaded_only_where_pieces_and_probabilities_match() -> None:
    row: dict[str, Any] = {"prompt_id": "p", "text": "a b", "pieces": ["a", " b"], "logprobs_t1": [-0.12345, float("-inf")], "reward": 1.0}
    assert rollout_of(row, 0, 1.0)["logprobs"] == [-0.123, None]
    for change in ({"pieces": ["a"]}, {"pieces": None}, {"logprobs_t1": None}, {"text": "x" * 30_000}):
        shown = rollout_of({**row, **change}, 0, 1.0)
        assert shown["pieces"] is None
        assert shown["text"] == {**row, **change}["text"][:20_000]


def test_a_prompt_column_that_is_no_conversation_is_named(diagnosis: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    for prompt in ("just text", None, '{"role": "user"}', '[{"role": "user", "content": ["parts"]}]'):
        with pytest.raises(ValueError, match="rollouts of prompt p00-7c41: column `prompt` is no JSON list"):
            page_of(diagnosis, [{**rows[0], "prompt": prompt}], None)
    with pytest.raises(ValueError, match=r"column `reward_parts` is '\[1\]', expected a JSON object"):
        page_of(diagnosis, [{**rows[0], "reward_parts": "[1]"}], None)


def test_reward_parts_are_numbers_whatever_another_writer_stored(rows: list[dict[str, Any]]) -> None:
    row = {**rows[0], "reward_parts": json.dumps({"clean": True, "form": 0.5, "why": "none", "odd": None, "wide": float("inf")})}
    assert json.dumps(rollout_of(row, 0, 1.0)["parts"]) == '{"clean": 1.0, "form": 0.5}'


def test_numbers_read_alike() -> None:
    shown = [
        number(v, u) for v, u in ((0.5, "share"), (32.0, "prompts"), (32.5, "prompts"), (1e-5, "share"), (-3.0, "z"), (7, ""), (1.5e6, ""))
    ]
    assert shown == ["50.0", "32", "32.5", "0.0", "−3.000", "7", "1,500,000"]


# ---- plots


def test_a_curve_keeps_its_points_and_its_band(diagnosis: dict[str, Any]) -> None:
    curve = diagnosis["curves"][0]
    band, line = draw_curve(curve)["data"]
    assert line["x"] == curve["x"]
    assert line["y"] == curve["value"]
    assert sorted(band["y"]) == sorted([*curve["low"], *curve["high"]])
    assert band["fill"] == "toself"
    assert draw_curve(curve)["layout"]["xaxis"]["type"] == "log"


def test_a_band_with_gaps_is_drawn_where_it_exists(diagnosis: dict[str, Any]) -> None:
    curve = {**diagnosis["curves"][0], "low": [0.1, 0.2, None, 0.4, None], "high": [0.3, 0.4, None, 0.6, None]}
    *bands, line = draw_curve(curve)["data"]
    assert [band["x"] for band in bands] == [[1, 2, 2, 1], [8, 8]]
    assert line["customdata"][2][0] == "no interval"


def test_right_and_wrong_stand_on_their_own_scales_and_expectation_is_a_line(diagnosis: dict[str, Any]) -> None:
    probability, silhouette = (draw_histogram(histogram) for histogram in diagnosis["histograms"][1:])
    assert [trace["yaxis"] for trace in probability["data"]] == ["y", "y2"]
    assert [trace["type"] for trace in silhouette["data"]] == ["bar", "scatter"]


def test_the_live_region_stands_apart_from_all_wrong_and_all_right(diagnosis: dict[str, Any]) -> None:
    figure = draw_histogram(diagnosis["histograms"][0])
    live, dead = figure["data"]
    assert [live["y"], dead["y"]] == list(diagnosis["histograms"][0]["series"].values())
    assert live["marker"]["color"] != dead["marker"]["color"]
    assert dead["marker"]["pattern"]["shape"]  # never colour alone
    assert figure["layout"]["barmode"] == "stack"
    assert "live region" in figure["layout"]["annotations"][0]["text"]


def test_one_series_of_pass_rates_is_parted_at_the_bins_that_hold_zero_and_one() -> None:
    edges = [-0.125, 0.125, 0.375, 0.625, 0.875, 1.125]  # centred on 0, 1/4, 1/2, 3/4, 1
    figure = draw_histogram({"name": "pass rate", "unit": "share", "edges": edges, "series": {"prompts": [5, 1, 2, 3, 4]}})
    live, dead = figure["data"]
    assert live["y"] == [0, 1, 2, 3, 0]
    assert dead["y"] == [5, 0, 0, 0, 4]
    assert (figure["layout"]["shapes"][0]["x0"], figure["layout"]["shapes"][0]["x1"]) == (0.125, 0.875)


def test_names_in_plots_are_escaped(diagnosis: dict[str, Any]) -> None:
    figure = draw_histogram({**diagnosis["histograms"][1], "name": "<b>x</b>", "series": {"<i>s</i>": [1.0] * 20}})
    assert figure["layout"]["xaxis"]["title"]["text"] == "&lt;b&gt;x&lt;/b&gt;"
    assert "<i>" not in json.dumps(figure)
    curve = draw_curve({**diagnosis["curves"][0], "name": "<i>y</i>", "x_name": "<i>x</i>"})
    assert curve["layout"]["yaxis"]["title"]["text"] == "&lt;i&gt;y&lt;/i&gt;"
    assert "<i>" not in json.dumps(curve)


def test_the_fixture_counts_what_it_made() -> None:
    prompts = make_prompts()
    record = make_diagnosis(prompts, make_rollouts(prompts))
    assert sum(map(sum, record.histograms[0].series.values())) == 32
    assert sum(map(sum, record.histograms[1].series.values())) == 511  # 32 * 16 less the unscored one
