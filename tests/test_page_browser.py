"""The page in a real browser: draws, filters, fits its window, follows the theme, and runs nothing that a model wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jominy.reporting import report
from jominy.reporting.reading import read_rows
from jominy.store import RunFolder, read_json
from tests.page_fixture import write_folder
from tests.page_hostile import HOSTILE, write_hostile_folder
from tests.page_picture import ARGUMENTS, find_chromium

chromium = find_chromium()
in_browser = pytest.mark.skipif(chromium is None, reason="no chromium on the PATH (Debian: apt-get install chromium)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_folder(tmp_path_factory.mktemp("page") / "run")
    report(path)
    return path


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_hostile_folder(tmp_path_factory.mktemp("hostile") / "run")
    report(path)
    return path


@pytest.fixture(scope="module")
def diagnosis(folder: Path) -> dict[str, Any]:
    return read_json(folder / "diagnosis.json")


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict[str, Any]]:
    return read_rows(RunFolder(folder), 600)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the dev extra: pip install 'jominy[dev]'")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield running
        running.close()


def opened(browser: Any, folder: Path, width: int = 1280, scheme: str = "light") -> tuple[Any, list[str]]:
    """The page in a fresh context, and a list that collects console messages, errors, dialogs and requests beyond the file itself."""
    page, heard = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page(), []
    address = (folder / "report.html").absolute().as_uri()
    page.on("console", lambda message: heard.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("dialog", lambda dialog: heard.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: heard.append(f"request: {request.url}") if request.url != address else None)
    page.goto(address)
    page.wait_for_selector(".canvas .main-svg")
    return page, heard


MARKS = ".scatterlayer path.js-line, .barlayer .point path"
"""Lines and bars, as Plotly draws them."""


def overflow(page: Any) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def brightness(page: Any, selector: str, name: str) -> float:
    """Mean of red, green and blue of a computed colour, 0..255."""
    color = page.evaluate(f"getComputedStyle(document.querySelector({selector!r}))[{name!r}]")
    red, green, blue = map(float, re.findall(r"[\d.]+", color)[:3])
    return (red + green + blue) / 3


@in_browser
@pytest.mark.parametrize("which", ["folder", "hostile_folder"])
def test_it_opens_offline_draws_and_stays_in_its_width(browser: Any, request: pytest.FixtureRequest, which: str) -> None:
    page, heard = opened(browser, request.getfixturevalue(which), width=390)
    plots = page.locator(".canvas")
    assert plots.count() == (8 if which == "folder" else 10)
    assert (
        page.evaluate(f"[...document.querySelectorAll('.canvas')].map((plot) => plot.querySelectorAll({MARKS!r}).length > 0)")
        == [True] * plots.count()
    )
    for summary in page.locator("details > summary").all():
        summary.evaluate("(element) => { element.parentElement.open = true; }")
    assert overflow(page) == 0
    page.set_viewport_size({"width": 1280, "height": 900})
    page.wait_for_timeout(300)  # the plots follow the window
    assert overflow(page) == 0
    assert heard == []
    page.context.close()


@in_browser
def test_hostile_text_runs_nothing_and_is_shown_as_it_is(browser: Any, hostile_folder: Path) -> None:
    page, heard = opened(browser, hostile_folder)
    page.locator("#prompt-rows button").first.click()
    assert page.evaluate("window.pwned") is None
    assert heard == []
    text = page.locator("#rollout-rows .text").first.text_content()
    assert text == HOSTILE
    assert page.locator("#rollout-rows .rollout .note").first.text_content() == HOSTILE
    assert page.locator(".verdict .headline").text_content() == HOSTILE
    assert page.locator("main img, main script, main a[href^='javascript']").count() == 0
    assert "window.pwned=1" in "".join(
        page.locator(".canvas .ytitle").all_text_contents() + page.locator(".canvas .xtitle").all_text_contents()
    )
    page.context.close()


@in_browser
def test_the_policy_stops_handlers_and_pictures_from_elsewhere(browser: Any, folder: Path) -> None:
    page, heard = opened(browser, folder)
    page.evaluate(
        "document.querySelector('main').insertAdjacentHTML('afterbegin',"
        '\'<button id=bad onclick="window.pwned=1">x</button><img src="http://127.0.0.1:9/x.png">\')'
    )
    page.locator("#bad").click()
    assert page.evaluate("window.pwned") is None
    assert any("inline event handler" in message for message in heard)
    assert any("img-src" in message for message in heard)
    page.context.close()


@in_browser
def test_the_filters_find_what_they_should(browser: Any, folder: Path, rows: list[dict[str, Any]]) -> None:
    page, heard = opened(browser, folder)

    def found() -> int:
        return int((page.locator("#found").text_content() or "").split()[0].replace("No", "0"))

    assert found() == len(rows) == 512
    assert page.locator("#rollout-rows .rollout").count() == 8
    right = [row for row in rows if row["reward"] == 1.0]
    page.select_option("#by-outcome", "right")
    assert found() == len(right)
    page.select_option("#by-prompt", index=2)  # the second prompt, after "all prompts"
    second = list(dict.fromkeys(row["prompt_id"] for row in rows))[1]
    assert found() == sum(row["prompt_id"] == second for row in right)
    page.click("#clear")
    page.locator("#found", has_text="512").wait_for()
    page.select_option("#by-outcome", "unscored")
    assert found() == 1
    assert page.locator("#rollout-rows .note").text_content() == "timed out after 5 s"
    page.select_option("#by-outcome", "")
    page.fill("#reward-from", "0.5")
    assert found() == len(right)
    page.fill("#reward-to", "0.7")
    assert found() == 0
    page.click("#clear")
    page.locator("#found", has_text="512").wait_for()
    page.fill("#by-text", "KETTLE")
    assert found() == 128  # 8 of the 32 prompts ask about a kettle, 16 rollouts each
    page.click("#rollout-pager button:last-child")
    assert page.locator("#rollout-pager span").text_content() == "page 2 of 16"
    assert heard == []
    page.context.close()


@in_browser
def test_tokens_carry_shade_and_probability_until_switched_off(browser: Any, folder: Path, rows: list[dict[str, Any]]) -> None:
    page, _ = opened(browser, folder)
    first = page.locator("#rollout-rows .text").first
    tokens = first.locator(".token")
    assert tokens.all_text_contents() == rows[0]["pieces"]
    least = min(range(len(rows[0]["pieces"])), key=lambda i: rows[0]["logprobs_t1"][i])
    assert f"{rows[0]['logprobs_t1'][least]:.3f}".replace("-", "−") in (tokens.nth(least).get_attribute("title") or "")
    assert tokens.last.get_attribute("class").endswith("special")  # the stop token is no part of the text
    page.uncheck("#shade")
    assert first.locator(".token").count() == 0
    assert first.text_content() == rows[0]["text"]
    page.context.close()


@in_browser
def test_prompts_can_be_ordered_and_lead_to_their_rollouts(browser: Any, folder: Path, diagnosis: dict[str, Any]) -> None:
    page, _ = opened(browser, folder)
    page.select_option("#prompt-order", "most")
    best = max(prompt["num_correct"] / prompt["num_scored"] for prompt in diagnosis["prompts"])
    assert best == 1.0
    assert page.locator("#prompt-rows tr").first.locator("td").first.text_content() == "16 of 16"
    page.select_option("#prompt-order", "above")
    furthest = max(prompt["z"] for prompt in diagnosis["prompts"] if prompt["z"] is not None)
    assert page.locator("#prompt-rows tr").first.locator("td").last.text_content() == f"{furthest:.1f}"
    page.select_option("#prompt-order", "most")
    name = page.locator("#prompt-rows button").first.text_content()
    page.locator("#prompt-rows button").first.click()
    assert page.locator("#found").text_content() == "16 rollouts found"
    assert name in page.locator("#rollout-rows .asked").first.text_content()
    page.context.close()


@in_browser
def test_dark_follows_the_system_and_the_button_turns_it(browser: Any, folder: Path) -> None:
    page, heard = opened(browser, folder, scheme="dark")
    assert brightness(page, "body", "backgroundColor") < 40
    assert brightness(page, ".canvas .xtick text", "fill") > 128
    page.click("#theme")
    assert page.locator("#theme").text_content() == "Dark"
    assert brightness(page, "body", "backgroundColor") > 220
    assert brightness(page, ".canvas .xtick text", "fill") < 128
    assert heard == []
    page.context.close()
