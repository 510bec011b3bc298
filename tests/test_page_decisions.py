"""The part of the page about solving and deciding: every number of the record, responses taken apart, and nothing a text can break."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jominy.decided import OURS, Decided, Exhibit
from jominy.deciding.exhibits import CELLS, MOST, MOST_UNDECIDED, choose
from jominy.deciding.explain import decide
from jominy.deciding.folders import compared_in
from jominy.measures.attempts import AttemptTable
from jominy.reporting import report
from jominy.reporting.bars import Series, draw_bars
from jominy.reporting.checking import check
from jominy.reporting.decisions import decisions_section, shown
from jominy.specs import DecisionSpec
from jominy.store import read_json, write_json
from tests.decisions_fixture import write_decisions_folder
from tests.page_hostile import HOSTILE, poisoned
from tests.page_picture import ARGUMENTS, find_chromium
from tests.test_deciding import AFTER, BEFORE, NO_SWAP, PROMPTS, attempt, decision, folder_of, training, written
from tests.test_page import Elements
from tests.test_page_training import data_of, visible

chromium = find_chromium()
in_browser = pytest.mark.skipif(chromium is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_decisions_folder(tmp_path_factory.mktemp("decisions") / "run")
    report(path)
    return path


@pytest.fixture(scope="module")
def record(folder: Path) -> dict[str, Any]:
    return dict(read_json(folder / "explanation.json")["decisions"])


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


# ---- the section


def test_every_part_of_the_record_is_on_the_page(record: dict[str, Any], html: str) -> None:
    text = visible(html)
    assert OURS in text
    assert '<a href="#decisions">Deciding</a>' in html
    assert text.index("Solving and deciding") < text.index(OURS) < text.index("Training, step by step")
    assert "one against other: 100 and 100 responses to 10 prompts of tests.coin_task:task, at most 3 attempts each" in text
    names = [change["name"] for section in record["sections"] for change in section["changes"]]
    assert "false accept" in names
    for name in names:
        assert f'<th scope="row">{name}'.replace("'", "&#39;") in html
    for words in (
        "Decisions about attempt 2",
        "Every response keeps the form",
        "Who writes the attempts, who decides",
        "gain by decisions",
        "decision&#39;s share of the gain",
        "decision&#39;s credit share",
        f"{record['bank']['num_states']} attempts, half of them right, {record['bank']['num_paired']} right ones paired",
    ):
        assert words in html or words in text
    assert record["bank"]["num_states"] == 8
    for cell in record["swap"]["measured"]["cells"]:
        assert f"<b>{100 * cell['value']:.1f}</b>" in html
        assert f"--share: {cell['value']:.4f}" in html
    assert {"grpo", "sft", "rft", "grpo:kl=k3", "grpo:kl=k1_reward"} == {one["objective"] for one in record["credits"]}


def test_the_bars_are_the_record(record: dict[str, Any], html: str) -> None:
    figures = data_of(html)["figures"]
    drawn = [figures[f"decisions-{place}"]["data"] for place in range(4)]
    assert sorted(re.findall(r'class="canvas" id="([^"]+)"', html)) == sorted(figures)
    lines = [line for one in record["credits"] for line in (one, *one["parts"])]
    assert len(lines) == len(record["credits"]) + 4  # two KL objectives, each with the reward alone and the KL alone
    ratios = [one["attribution"]["masses"]["per_token_ratio"]["value"] for one in lines]
    assert drawn[0][0]["x"] == ratios
    assert ratios[0] == 1.0  # GRPO on policy
    sft = [one["objective"] for one in lines].index("sft")
    assert [bars["x"][sft] for bars in drawn[2][:4:2]] == [0.0, 0.0]  # knows no outcome
    shares = [one["attribution"]["masses"]["mass_share"]["value"] for one in lines]
    assert drawn[1][0]["x"] == shares
    split = record["swap"]["measured"]
    assert drawn[3][0]["x"] == [split["total"]["value"], split["sampling"]["value"], split["decision"]["value"]]
    ends = drawn[3][1]["error_x"]
    assert ends["array"][0] == pytest.approx(split["total"]["high"] - split["total"]["value"])
    assert ends["arrayminus"][0] == pytest.approx(split["total"]["value"] - split["total"]["low"])


def test_what_is_not_there_is_said(folder: Path, tmp_path: Path, html: str) -> None:
    path = training(tmp_path / "rl", BEFORE, AFTER)
    found, _ = decide(compared_in(path), NO_SWAP, quiet=True)
    assert found is not None
    report(path)
    bare = (path / "report.html").read_text(encoding="utf-8")
    assert "Solving and deciding" not in bare  # nobody has looked
    stored = read_json(path / "explanation.json")
    write_json(path / "explanation.json", {**stored, "why_no_decisions": "nothing says where <b> decides"})
    assert "not told apart: nothing says where <b> decides." in re.sub("&lt;b&gt;", "<b>", report(path).read_text(encoding="utf-8"))
    write_json(path / "explanation.json", {**stored, "decisions": json.loads(json.dumps(found.to_json()))})
    text = visible(report(path).read_text(encoding="utf-8"))
    assert "Not drawn. `--no-swap` was said." in text
    assert "No bank of attempts: `--no-swap` was said." in text
    assert "grpo:kl=k3 : not computed, it needs log-probabilities" in text
    assert "cut at the token limit 0 1" in text
    assert "undefined: it needs both decisions about wrong attempts" in text


def test_one_attempt_and_one_side(tmp_path: Path) -> None:
    found, _ = decide(compared_in(folder_of(tmp_path / "b", AFTER)), DecisionSpec(), quiet=True)
    assert found is not None
    alone = json.loads(json.dumps(found.to_json()))
    check(alone, Decided, "decisions")
    section = decisions_section({**alone, "num_attempts": 1, "credits": [], "value_shares": [], "credit_share": None})
    assert [plot["figure"] for plot in section["plots"]] == [None]
    assert section["about"].startswith("lab: 6 responses to 3 prompts")
    assert (section["by_objective"], section["gradients"], section["shares"]) == ([], [], [])


def test_gradients_have_a_row_where_they_were_asked_for(record: dict[str, Any]) -> None:
    gradient = {
        "signal_sampling": 1.0,
        "signal_decision": 1.0,
        "noise_sampling": 1.0,
        "noise_decision": 1.0,
        "snr_sampling": 0.5,
        "snr_decision": None,
        "cosine": -0.25,
        "share_sampling": 0.75,
        "share_decision": 0.25,
        "share_none": 0.0,
        "signal_share_decision": None,
        "num_batches": 8,
    }
    first, *others = record["credits"]
    changed = {**record, "credits": [{**first, "gradient": gradient}, *others]}
    check(changed, Decided, "decisions")
    assert decisions_section(changed)["gradients"] == [["grpo", "–", "25.0 %", "–", "−0.250", "0.500", "–", "8"]]


def test_numbers_as_text() -> None:
    tiny = {"value": -0.00002, "low": -0.0001, "high": 0.00005, "unit": "coefficient", "why_none": ""}
    assert shown(tiny) == "−2e−05 [−0.0001, 5e−05]"
    assert shown({**tiny, "low": None}) == "−2e−05"
    assert shown({**tiny, "value": None, "why_none": "no verdict"}) == "undefined: no verdict"


def test_a_broken_record_is_refused_by_name(tmp_path: Path) -> None:
    path = training(tmp_path / "rl", BEFORE, AFTER)
    report(path)
    stored = read_json(path / "explanation.json")
    found, _ = decide(compared_in(path), NO_SWAP, quiet=True)
    assert found is not None
    broken = {**found.to_json(), "exhibits": [{"index": 3}]}
    write_json(path / "explanation.json", {**stored, "decisions": json.loads(json.dumps(broken))})
    with pytest.raises(ValueError, match=r"explanation\.decisions\.exhibits\[0\]\.prompt_id is missing\. Run `jominy explain"):
        report(path)


def test_pairs_are_checked_place_by_place() -> None:
    check([["a", 1], ["b", 2]], tuple[tuple[str, int], ...], "x")
    with pytest.raises(ValueError, match=r"x\[1\]\[1\] is 'c', expected a whole number"):
        check([["a", 1], ["b", "c"]], tuple[tuple[str, int], ...], "x")
    with pytest.raises(ValueError, match=r"x\[0\] is .* expected a list of 2"):
        check([["a"]], tuple[tuple[str, int], ...], "x")


# ---- bars


def measure(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "unit": "ratio", "why_none": ""}


def test_bars_lie_in_their_rows_and_the_undefined_is_left_out() -> None:
    one = Series(name="a", measures=[measure(0.5, 0.25, 1.0), measure(None)])
    other = Series(name="b", measures=[measure(0.0, -0.5), measure(2.0)], pattern="/")
    figure = draw_bars(["first", "<i>second"], [one, other], "size", guide=1.0)
    bars, ends, others, _ = figure["data"]
    # two bars share 0.76 of a row, so their middles lie 0.19 above and below it
    assert (bars["x"], bars["y"]) == ([0.5], [0.19])
    assert (others["x"], others["y"]) == ([0.0, 2.0], pytest.approx([-0.19, -1.19]))
    assert (ends["error_x"]["array"], ends["error_x"]["arrayminus"]) == ([0.5], [0.25])
    assert ends["x"] == [0.5]
    assert figure["layout"]["yaxis"]["ticktext"] == ["first", "&lt;i&gt;second"]
    assert {bars["marker"]["pattern"]["shape"], others["marker"]["pattern"]["shape"]} == {"", "/"}
    assert figure["layout"]["shapes"][0]["x0"] == 1.0
    # a row without any bar says so
    *_, said = draw_bars(["first", "second"], [Series(name="a", measures=[measure(None), measure(2.0)])], "size")["data"]
    assert (said["text"], said["y"]) == (["undefined"], [0])
    # a mark only where there is an interval, or no length to see
    _, marks = draw_bars(["a", "b", "c"], [Series(name="a", measures=[measure(1.0), measure(0.0), measure(1.0, 0.5, 2.0)])], "size")["data"]
    assert [size > 0 for size in marks["marker"]["size"]] == [False, True, True]


# ---- which responses are shown


def test_every_cell_is_shown_first_and_then_again() -> None:
    # rollouts 0 and 1 accept what is right, 2 accepts what is wrong, 3 retries right and accepts wrong, 4 retries wrong
    table = AttemptTable.of([["ca", "ca"], ["wa", "cr wa"], ["wr cf"]])
    nothing = np.zeros(5, dtype=np.int64)
    assert choose(table, nothing) == [0, 3, 2, 4, 1]
    assert choose(table, nothing, most=2) == [0, 3]
    # rollout 1 has a coefficient and 0 has none
    assert choose(table, np.array([0, 1, 0, 0, 0])) == [1, 3, 2, 4, 0]


def test_never_more_than_twelve_and_new_prompts_first() -> None:
    table = AttemptTable.of([["ca", "ca", "ca"], *([["ca"]] * 30)])
    found = choose(table, np.zeros(33, dtype=np.int64))
    assert len(found) == MOST
    assert found[:3] == [0, 3, 4]  # 1 and 2 answer the prompt that is there already


def test_without_decisions_the_first_attempts_are_shown() -> None:
    table = AttemptTable.of([["", "cf"], ["wf", "cf"], ["wf"]])
    assert choose(table, np.zeros(5, dtype=np.int64)) == [1, 2, 3]
    assert MOST_UNDECIDED == 3


def exhibits(tmp_path: Path, responses: list[list[str]], **changes: Any) -> tuple[Exhibit, ...]:
    found, _ = decide(compared_in(folder_of(tmp_path / "b", responses, **changes)), NO_SWAP, quiet=True)
    assert found is not None
    return found.exhibits


def test_a_response_is_taken_apart_into_its_spans(tmp_path: Path) -> None:
    found = {(one.prompt_id, one.index): one for one in exhibits(tmp_path, AFTER)}
    one = found[PROMPTS[0].id, 0]  # wr cf
    assert one.cells == (CELLS[3],)  # the forced attempt is no decision
    assert (one.right, one.stop, one.problem, one.are_tokens) == (True, "eos", "", True)
    texts = ["".join(one.pieces[span.start : span.end]) for span in one.spans]
    check_and_verdict = decision(False).partition("<verdict>")
    assert texts == [
        attempt(PROMPTS[0], False),
        check_and_verdict[0],
        "".join(check_and_verdict[1:]),
        attempt(PROMPTS[0], True),
    ]
    assert [span.kind for span in one.spans] == ["attempt.wrong", "check", "verdict.retry", "attempt.right"]
    assert one.num_pieces == len(one.pieces) == len(written(PROMPTS[0], "wr cf")) + 1
    assert (PROMPTS[2].id, 1) not in found  # it broke off before a decision


def test_coefficients_of_what_is_shown(tmp_path: Path) -> None:
    found = {(one.prompt_id, one.index): one.coefficients for one in exhibits(tmp_path, AFTER)}
    right, wrong = found[PROMPTS[0].id, 0], found[PROMPTS[0].id, 1]
    assert list(right) == ["grpo", "sft", "rft"]
    # one of two is right: opposite advantages, and each response's tokens share them by its own length
    assert min(right["grpo"]) > 0 > max(wrong["grpo"])
    assert sum(right["grpo"]) == pytest.approx(-sum(wrong["grpo"]), rel=1e-3)
    # weight 1 on every token of every response; for RFT on those of right responses only
    assert len({value for one in found.values() for value in one["sft"]}) == 1
    assert set(wrong["rft"]) == {0.0}
    assert len(set(right["rft"])) == 1
    assert min(right["rft"]) > 0
    # all responses to this prompt are right
    assert set(found[PROMPTS[1].id, 0]["grpo"]) == {0.0}


def test_without_token_texts_the_spans_are_shown_without_coefficients(tmp_path: Path) -> None:
    found = exhibits(tmp_path, AFTER, pieces=None)
    one = next(one for one in found if (one.prompt_id, one.index) == (PROMPTS[0].id, 0))
    assert "".join(one.pieces) == written(PROMPTS[0], "wr cf")
    assert [span.kind for span in one.spans] == ["attempt.wrong", "check", "verdict.retry", "attempt.right"]
    assert (one.are_tokens, one.coefficients) == (False, {})


# ---- hostile text


def write_hostile(folder: Path, path: Path) -> Path:
    """The folder with every text of its decisions replaced, names of measures and objectives too."""
    training(path, BEFORE, AFTER)
    report(path)
    record = poisoned(read_json(folder / "explanation.json")["decisions"])
    for credited in record["credits"]:
        credited["objective"] = HOSTILE
    for section in record["sections"]:
        for change in section["changes"]:
            change["name"] = HOSTILE
    kinds = ("attempt.__proto__", "verdict.constructor", "__proto__", "attempt.right", HOSTILE)
    for exhibit in record["exhibits"]:
        exhibit["spans"] = [{**span, "kind": kinds[place % len(kinds)], "index": place % 2} for place, span in enumerate(exhibit["spans"])]
        exhibit["coefficients"] = {HOSTILE: next(iter(exhibit["coefficients"].values())), "__proto__": [0.0] * len(exhibit["pieces"])}
    write_json(path / "explanation.json", {**read_json(path / "explanation.json"), "decisions": record})
    report(path)
    return path


@pytest.fixture(scope="module")
def hostile(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hostile(folder, tmp_path_factory.mktemp("hostile") / "run")


def test_hostile_text_adds_no_element_and_no_handler(hostile: Path) -> None:
    html = (hostile / "report.html").read_text(encoding="utf-8")
    seen = Elements(html)
    assert seen.handlers == []
    assert seen.seen["img"] == 0
    assert seen.seen["script"] == 3
    assert [target for target in seen.targets if not target.startswith("#")] == []
    assert data_of(html)["exhibits"][0]["question"] == HOSTILE


# ---- in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the dev extra: pip install 'jominy[dev]'")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield running
        running.close()


def opened(browser: Any, folder: Path, width: int = 390) -> tuple[Any, list[str]]:
    page, heard = browser.new_context(viewport={"width": width, "height": 900}).new_page(), []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.goto((folder / "report.html").absolute().as_uri())
    page.wait_for_selector("#decisions-3 .main-svg")
    return page, heard


@in_browser
def test_shade_follows_the_objective_and_the_page_its_window(browser: Any, folder: Path, record: dict[str, Any]) -> None:
    page, heard = opened(browser, folder)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    names = page.locator("#by-objective option").all_text_contents()
    assert sorted(names) == sorted([*(one["objective"] for one in record["credits"]), "nothing"])
    first, exhibit = page.locator("#exhibit-rows .rollout").first, record["exhibits"][0]
    assert first.locator(".token").all_text_contents() == exhibit["pieces"]
    assert first.locator(".span-row").count() >= len(exhibit["spans"])
    page.select_option("#by-objective", "sft")
    assert page.locator("#exhibit-rows [class*='down-']").count() == 0
    assert page.locator("#exhibit-rows .token:not([class*='up-'])").count() == 0
    page.select_option("#by-objective", "")
    assert page.locator("#exhibit-rows [class*='up-']").count() == 0
    page.select_option("#by-cell", "wrong accepted")
    wanted = sum("wrong accepted" in one["cells"] for one in record["exhibits"])
    assert page.locator("#exhibit-rows .rollout").count() == min(3, wanted)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.wait_for_timeout(200)  # the plots follow the window
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert heard == []
    page.context.close()


@in_browser
def test_a_long_reason_leaves_room_for_the_names(browser: Any, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(folder, path)
    stored = read_json(path / "explanation.json")
    for section in stored["decisions"]["sections"]:
        section["changes"][0]["difference"] |= {"value": None, "low": None, "high": None, "why_none": "nobody knows why " * 10}
    write_json(path / "explanation.json", stored)
    report(path)
    page, _ = opened(browser, path, width=1280)
    shares = page.locator("#decisions table.changes").evaluate_all(
        "tables => tables.map(table => table.querySelector('tbody th').offsetWidth / table.offsetWidth)"
    )
    page.context.close()
    assert len(shares) == len(stored["decisions"]["sections"])
    assert min(shares) > 0.25


@in_browser
def test_hostile_text_runs_nothing(browser: Any, hostile: Path) -> None:
    page, heard = opened(browser, hostile, width=1280)
    page.select_option("#by-objective", "__proto__")
    assert page.evaluate("window.pwned") is None
    assert page.locator("#exhibit-rows .rollout").count() > 0
    assert page.locator("#exhibit-rows .span-text").first.text_content().startswith(HOSTILE)
    assert page.locator("main img, main script, main a[href^='javascript']").count() == 0
    assert heard == []
    page.context.close()
