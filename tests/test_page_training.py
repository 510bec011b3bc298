"""The page of a training folder: what was drawn and explained, whatever moment the run was killed at."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from jominy.explaining import explain_path
from jominy.records import Message, Reward
from jominy.reporting import report
from jominy.reporting.series import Floor, Line, draw_floors, draw_moves, draw_stack
from jominy.reporting.training import read_training, training_plots
from jominy.steplog import append_line
from jominy.store import RunFolder, read_json, write_json
from tests.page_fixture import make_diagnosis, make_rollouts
from tests.page_fixture import make_prompts as make_diagnosed_prompts
from tests.page_hostile import HOSTILE
from tests.page_picture import ARGUMENTS, find_chromium
from tests.test_page import Elements
from tests.training_fixture import graded, make_prompts, write_run, write_training_folder

chromium = find_chromium()
in_browser = pytest.mark.skipif(chromium is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_training_folder(tmp_path_factory.mktemp("training") / "run")
    report(path)
    return path


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def data_of(html: str) -> dict[str, Any]:
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    assert block is not None
    return dict(json.loads(block.group(1)))


def visible(html: str) -> str:
    """The text of the page without scripts, styles and elements, spaces as one."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", html, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


# ---- a finished run


def test_reading_changes_and_curves_are_on_the_page(folder: Path, html: str) -> None:
    explanation, text = read_json(folder / "explanation.json"), visible(html)
    assert explanation["reading"]["headline"].removeprefix("Discovery: ") in text
    assert text.index("What did training change?") < text.index("Step 0 against step 30, 48 held-out prompts, 16 responses each.")
    for part in ("drift", "clarity", "parts"):
        for change in explanation[part]:
            assert f'<th scope="row">{change["name"]}' in html
    for name in ("recipe grpo", "steps 30 of 30", "device cpu", "learning rate 1e-05"):
        assert name in text
    # 8 curves of the run, 2 of the explanation; every canvas has its figure.
    figures = data_of(html)["figures"]
    assert len(figures) == 10
    assert sorted(re.findall(r'class="canvas" id="([^"]+)"', html)) == sorted(figures)
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(Elements(html).seen)
    assert [target for target in Elements(html).targets if not target.startswith("#")] == []


def test_the_curves_hold_the_numbers_of_the_log(folder: Path, html: str) -> None:
    log = read_training(folder, RunFolder(folder).read_run())
    figures = data_of(html)["figures"]
    reward = next(figure for figure in figures.values() if figure["layout"]["yaxis"]["title"]["text"] == "reward")["data"][0]
    assert reward["x"] == list(range(1, 31))
    assert reward["y"] == [step["reward"] for step in log.steps]
    band, held_out = next(figure for figure in figures.values() if figure["layout"]["yaxis"]["title"]["text"] == "pass@1")["data"]
    assert held_out["y"] == [line["pass_at_1"]["value"] for line in log.evaluations]
    assert band["y"] == [line["pass_at_1"]["low"] for line in log.evaluations] + [
        line["pass_at_1"]["high"] for line in log.evaluations[::-1]
    ]
    stacks = [figure["data"] for figure in figures.values() if figure["data"][0]["type"] == "bar"]
    shares, seconds = stacks
    assert [sum(column) for column in zip(*(trace["y"] for trace in shares), strict=True)] == pytest.approx([1.0] * 30)
    # The stages and the rest are the whole step.
    assert [sum(column) for column in zip(*(trace["y"] for trace in seconds), strict=True)] == pytest.approx(
        [s["step_s"] for s in log.steps]
    )


def test_the_rollouts_to_read_are_before_and_after_side_by_side(html: str) -> None:
    rollouts = data_of(html)["rollouts"]
    assert [rollout["policy"] for rollout in rollouts[:4]] == ["lab", "lab+step 30", "lab", "lab+step 30"]
    assert [rollout["index"] for rollout in rollouts[:4]] == [0, 0, 1, 1]
    assert {rollout["prompt"] for rollout in rollouts} == set(range(48))
    assert "600 of 1,536 rollouts" in visible(html)  # two evaluations of 48 prompts, 16 responses each
    assert re.findall(r"<option>(.*?)</option>", html) == ["lab", "lab+step 30"]


def test_an_explanation_of_an_earlier_step_is_made_anew_and_a_current_one_is_kept(tmp_path: Path) -> None:
    path = write_training_folder(tmp_path / "run", num_steps=3, evaluated=(0, 30))
    explain_path(path, seed=7)
    report(path)
    assert read_json(path / "explanation.json")["source"]["seed"] == 7
    stored = read_json(path / "explanation.json")
    write_json(path / "explanation.json", {**stored, "source": {**stored["source"], "after_step": 20}})
    report(path)
    assert read_json(path / "explanation.json")["source"]["after_step"] == 30


def test_a_broken_explanation_is_refused_by_name(tmp_path: Path) -> None:
    path = write_training_folder(tmp_path / "run", num_steps=1, evaluated=(0, 30))
    explain_path(path)
    stored = read_json(path / "explanation.json")
    write_json(path / "explanation.json", {**stored, "moves": None})
    with pytest.raises(ValueError, match=r"explanation\.moves is 'None', expected an object\. Run `jominy explain"):
        report(path)


def test_a_diagnosis_beside_it_has_its_sections_below(tmp_path: Path) -> None:
    path = write_training_folder(tmp_path / "run", num_steps=2, evaluated=(0,))
    prompts = make_diagnosed_prompts()[:2]
    diagnosis = make_diagnosis(prompts, make_rollouts(prompts))
    write_json(path / "diagnosis.json", {"schema_version": 1, **asdict(diagnosis)})
    html = report(path).read_text(encoding="utf-8")
    text = visible(html)
    assert text.index("Training, step by step") < text.index(diagnosis.verdict.headline)
    assert Elements(html).seen["h1"] == 1


# ---- a run that was killed


@pytest.mark.parametrize(
    ("num_steps", "evaluated", "word", "said"),
    [
        (0, (), "Nothing yet", "no evaluation is finished yet"),
        (0, (0,), "Nothing yet", "only one evaluation is finished yet"),
        (1, (), "1 step done", "No held-out evaluation is finished yet"),
        (7, (0,), "7 steps done", "running, or stopped without a word"),
    ],
)
def test_a_run_killed_at_any_moment_has_its_page(tmp_path: Path, num_steps: int, evaluated: tuple[int, ...], word: str, said: str) -> None:
    path = write_training_folder(tmp_path / "run", num_steps=num_steps, evaluated=evaluated, status="running")
    html = report(path).read_text(encoding="utf-8")
    text = visible(html)
    assert word in text
    assert said in text
    assert not (path / "explanation.json").exists()
    drawn = data_of(html)["figures"]
    assert html.count("The log holds no such number yet.") == 8 - len(drawn)
    assert (len(drawn) == 8) == (num_steps > 0 and bool(evaluated))


def test_half_a_line_is_left_out_and_counted(tmp_path: Path) -> None:
    path = write_training_folder(tmp_path / "run", num_steps=3, evaluated=(0,))
    with open(path / "steps.jsonl", "ab") as file:
        file.write(b'{"step": 4, "rew')
    text = visible(report(path).read_text(encoding="utf-8"))
    assert "1 broken line in the logs left out" in text
    assert "steps 3 of 30" in text


def test_an_evaluation_whose_folder_is_gone_is_said(tmp_path: Path) -> None:
    path = write_training_folder(tmp_path / "run", num_steps=1, evaluated=(0,))
    append_line(path / "evaluations.jsonl", {"step": 9, "folder": "evaluations/step-00009", "pass_at_1": None, "kl_nats": None})
    text = visible(report(path).read_text(encoding="utf-8"))
    assert "step-00009 is no run folder" in text


def test_fields_that_are_missing_null_or_nan_are_not_drawn(tmp_path: Path) -> None:
    path = write_training_folder(tmp_path / "run", num_steps=0, evaluated=())
    (path / "steps.jsonl").write_text(
        '{"step": 1, "reward": 0.5, "grad_norm": NaN}\n{"step": 2, "reward": null}\n{"step": 3, "reward": 0.7}\n'
    )
    plots = {plot["title"]: plot for plot in training_plots(read_training(path, RunFolder(path).read_run()))}
    (reward,) = plots["Reward in training"]["figure"]["data"]
    assert (reward["x"], reward["y"]) == ([1.0, 3.0], [0.5, 0.7])
    assert plots["Gradient norm and learning rate"]["figure"] is None
    report(path)


def test_a_long_run_is_thinned_and_says_so(tmp_path: Path) -> None:
    path = write_training_folder(tmp_path / "run", num_steps=0, evaluated=())
    lines = [json.dumps({"step": step, "reward": 0.5}) for step in range(1, 1502)]
    (path / "steps.jsonl").write_text("\n".join(lines) + "\n")
    html = report(path).read_text(encoding="utf-8")
    # 1,501 steps, at most 500 points: one in 4, steps 1, 5, 9 ... 1501.
    assert "Of 1,501 steps one in 4 is drawn" in html
    (figure,) = data_of(html)["figures"].values()
    assert figure["data"][0]["x"] == list(range(1, 1502, 4))


# ---- hostile text


def write_hostile_training(path: Path) -> Path:
    """A training run whose policy, prompts, texts, parts, settings and status are all hostile."""
    prompts = [replace(prompt, task=HOSTILE, messages=(Message(role="user", content=HOSTILE),)) for prompt in make_prompts(4)]
    RunFolder(path).write_run({"verb": "train", "status": HOSTILE, "spec": {"model": HOSTILE, HOSTILE: HOSTILE}, "device": HOSTILE})
    append_line(path / "steps.jsonl", {"step": 1, "policy": HOSTILE, HOSTILE: HOSTILE, "reward": 0.5})
    for step, value in ((0, 0.0), (1, 1.0)):
        judged = Reward(value=value, parts={HOSTILE: value}, answer=HOSTILE, note=HOSTILE)
        rollouts = [graded(prompt, i, judged, policy=f"{HOSTILE}{step}", text=HOSTILE) for prompt in prompts for i in range(4)]
        write_run(path / f"evaluations/step-{step}", prompts, rollouts, **{HOSTILE: str(step) + HOSTILE})
        append_line(path / "evaluations.jsonl", {"step": step, "folder": f"evaluations/step-{step}", "pass_at_1": None})
    return path


def test_hostile_text_adds_no_element_and_no_handler(tmp_path: Path) -> None:
    html = report(write_hostile_training(tmp_path / "run")).read_text(encoding="utf-8")
    seen = Elements(html)
    assert seen.handlers == []
    assert seen.seen["img"] == 0
    assert seen.seen["script"] == 3
    assert [target for target in seen.targets if not target.startswith("#")] == []
    assert data_of(html)["rollouts"][0]["text"] == HOSTILE
    assert "{{7*7}}" in html.split('id="data"')[0]


# ---- figures


def test_a_line_passes_over_steps_that_were_not_measured() -> None:
    line = Line(name="kl", x=(1, 2, 3, 4), y=(0.1, None, 0.3, 0.4), low=(0.0, None, 0.2, 0.3), high=(0.2, None, 0.4, 0.5))
    *bands, drawn = draw_floors([Floor(title="nats", lines=(line,))], "step")["data"]
    assert (drawn["x"], drawn["y"]) == ([1, 3, 4], [0.1, 0.3, 0.4])
    assert [band["x"] for band in bands] == [[1, 1], [3, 4, 4, 3]]
    assert [band["y"] for band in bands] == [[0.0, 0.2], [0.2, 0.3, 0.5, 0.4]]


def test_floors_share_the_step_axis_and_names_are_listed_once() -> None:
    pair = tuple(Line(name=name, x=(0, 1), y=(1.0, 2.0)) for name in ("in training", "held out"))
    layout = (figure := draw_floors([Floor(title="tokens", lines=pair), Floor(title="cut", lines=pair)], "step"))["layout"]
    assert [trace["showlegend"] for trace in figure["data"]] == [True, True, False, False]
    assert layout["yaxis"]["domain"][0] >= layout["yaxis2"]["domain"][1]
    assert layout["xaxis"]["anchor"] == "y2"
    alone = draw_floors([Floor(title="norm", lines=pair[:1])], "step")
    assert alone["layout"]["showlegend"] is False


def test_stacked_steps_touch_and_do_not_overlap() -> None:
    figure = draw_stack([10.0, 20.0, 30.0], {"a": [0.5, None, 0.2], "b": [0.5, 0.1, 0.8]}, "step", "share", top=1.0)
    assert {trace["width"] for trace in figure["data"]} == {10.0}
    assert figure["layout"]["xaxis"]["range"] == [5.0, 35.0]
    assert len({(trace["marker"]["color"], trace["marker"]["pattern"]["shape"]) for trace in figure["data"]}) == 2


def test_moved_prompts_differ_in_shape_as_well_as_colour() -> None:
    _, discs = draw_moves({(0.0, 1.0): 9, (0.5, 0.5): 1, (1.0, 0.0): 4}, "before", "after")["data"]
    assert discs["marker"]["symbol"] == ["circle", "square", "diamond"]
    assert len(set(discs["marker"]["color"])) == 3
    # Areas go with the counts: 9 to 4 is 3 to 2 in diameter.
    assert discs["marker"]["size"][0] / discs["marker"]["size"][2] == pytest.approx(1.5)


# ---- in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the dev extra: pip install 'jominy[dev]'")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield running
        running.close()


@in_browser
def test_it_draws_every_plot_stays_in_its_width_and_asks_for_nothing(browser: Any, folder: Path) -> None:
    page, heard = browser.new_context(viewport={"width": 390, "height": 900}).new_page(), []
    address = (folder / "report.html").absolute().as_uri()
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url) if request.url != address else None)
    page.goto(address)
    page.wait_for_selector("#training-7 .main-svg")
    marks = ".scatterlayer path.js-line, .barlayer .point path, .scatterlayer .point"
    drawn = page.evaluate(f"[...document.querySelectorAll('.canvas')].map((plot) => plot.querySelectorAll({marks!r}).length > 0)")
    assert drawn == [True] * 10
    for summary in page.locator("details > summary").all():
        summary.evaluate("(element) => { element.parentElement.open = true; }")
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(200)  # the plots follow the window
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    page.select_option("#by-policy", "lab+step 30")
    assert page.locator("#found").text_content() == "300 rollouts found"
    assert heard == []
    page.context.close()


@in_browser
def test_hostile_training_text_runs_nothing(browser: Any, tmp_path: Path) -> None:
    page = browser.new_context().new_page()
    page.goto(report(write_hostile_training(tmp_path / "run")).absolute().as_uri())
    page.wait_for_selector(".canvas .main-svg")
    assert page.evaluate("window.pwned") is None
    assert page.locator("#rollout-rows .text").first.text_content() == HOSTILE
    page.context.close()
