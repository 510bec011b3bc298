"""What a person sees of a run: curves that lie where the steps are, honest times, dashes for what is not known."""

from __future__ import annotations

import io
import re
from itertools import pairwise

import pytest
from rich.cells import cell_len
from rich.console import Console

from jominy.blockcurves import BLOCKS, curve, evaluation_columns, step_columns
from jominy.formatting import clock
from jominy.watching import (
    PLAIN_SILENCE_S,
    PlainPanel,
    Watched,
    picture,
    step_text,
    training_panel,
)

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def step_line(step, **changes):
    """A line of steps.jsonl with all that the panel shows."""
    line = {"step": step, "reward": 0.25, "pass_rate": 0.5, "live_share": 0.625, "all_right_share": 0.25, "all_wrong_share": 0.125}
    line |= {"mean_length": 31.25, "truncated_share": 0.03125, "entropy_nats": 0.75, "kl_nats": 0.0312, "clip_share": None, "ess": 41.5}
    line |= {"grad_norm": 1.5, "gap_nats": 0.002, "num_unscored": 0, "sampling_tokens_per_s": 1512.0, "update_tokens_per_s": 390.0}
    return line | {"memory_gib": 3.5, "step_s": 8.1} | changes


def evaluation_line(step, value, low, high):
    """A line of evaluations.jsonl."""
    estimate = {"value": value, "low": low, "high": high}
    return {"step": step, "pass_at_1": estimate, "kl_nats": None, "mean_length": 30.0, "truncated_share": 0.0, "seconds": 12.0}


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.time_s = 1000.0

    def __call__(self):
        return self.time_s


def watched(num_steps=30, first_step=1, now_s=None, said=None):
    said = [] if said is None else said
    return Watched(title="smollm2 on [math], grpo", num_steps=num_steps, first_step=first_step, say=said.append, now_s=now_s or Clock())


def drawn(seen, width):
    """The panel's lines as text."""
    console = Console(width=width, record=True, file=io.StringIO(), force_terminal=True)
    console.print(picture(seen, width))
    return console.export_text().splitlines()


@pytest.fixture
def midway():
    """12 of 30 steps, evaluated at 0 and 10, sampling the 13th."""
    now_s = Clock()
    seen = watched(now_s=now_s)
    now_s.time_s += 100
    seen.evaluated(evaluation_line(0, 0.121, 0.08, 0.172))
    for step in range(1, 13):
        now_s.time_s += 9
        seen.step(step_line(step, reward=step / 12))
        if step == 10:
            seen.evaluated(evaluation_line(10, 0.552, 0.44, 0.661))
    seen.stage("sampling", 64)
    seen.advance(24, 1200)
    now_s.time_s += 3
    return seen


@pytest.mark.parametrize("width", [80, 140])
def test_the_panel_fits_and_says_it_all(midway, width):
    lines = drawn(midway, width)
    assert {cell_len(line) for line in lines} == {width}
    assert len(lines) <= 22, "a terminal of 24 lines shows it whole"
    text = re.sub(r"\s+", " ", " ".join(lines).replace("│", " "))
    shown = [
        "smollm2 on [math], grpo",
        # 100 s of evaluation + 12 x 9 s + 3 s = 211 s = 3:31; 18 steps of 9 s are to come, less the 3 s since the last: 159 s = 2:39
        "12/30 3:31, 2:39 left",
        "sampling 24/64 rollouts 400 tokens/s 0:03 (last step 8.1 s)",  # 1200 tokens in 3 s
        "55.2 [44.0, 66.1] % at 10",
        "12.1 [8.0, 17.2] % at 0",
    ]
    shown += ["live 62.5 %", "all right 25.0 %", "all wrong 12.5 %", "entropy 0.750 nats", "KL 0.031 nats", "grad norm 1.500"]
    shown += ["length 31.2 tokens", "truncated 3.1 %", "unscored 0", "clipped –", "sampling 1,512 tokens/s", "update 390 tokens/s"]
    for part in [*shown, "memory 3.500 GiB", "axis 0 to 1 ", "axis 0 to 100 %"]:
        assert part in text, part
    assert "…" not in text


@pytest.mark.parametrize("width", [80, 140])
def test_weights_of_groups_have_a_row_where_a_recipe_weighs_them(width):
    weights = {"min": 0.8187, "low": 0.9, "median": 1.0, "high": 1.1, "max": 1.2214, "ess_share": 0.961, "below_zero_share": 0.375}
    seen = watched()
    seen.step(step_line(1, group_weights=weights))
    lines = drawn(seen, width)
    text = " ".join(" ".join(lines).split())
    for part in ("weights 0.819 to 1.221", "w ESS 96.1 %", "S' < 0 37.5 %"):
        assert part in text
    assert "…" not in text
    assert {cell_len(line) for line in lines} == {width}
    assert len(lines) <= 23, "a terminal of 24 lines shows it whole"
    seen.step(step_line(2, group_weights=dict.fromkeys(weights)))
    assert "weights – to –" in " ".join(" ".join(drawn(seen, width)).split())
    seen.step(step_line(3, group_weights=None))
    assert "w ESS" not in "".join(drawn(seen, width))
    assert "weights 0.819 to 1.221 ESS 96.1 %" in step_text(step_line(1, group_weights=weights), 30, None)
    assert "weights" not in step_text(step_line(1, group_weights=None), 30, None)


@pytest.mark.parametrize("width", [80, 140])
def test_what_a_proxy_pays_has_a_line_where_one_pays(width):
    pay = {"gap": {"value": -0.125, "low": -0.2, "high": -0.05}, "false_accepts": {"value": 0.234}, "echo": {"value": None}}
    seen = watched()
    seen.step(step_line(1, pay=pay))
    lines = drawn(seen, width)
    assert "paid−gold −0.12 [−0.20, −0.05] false accepts 23 % echo – claims –" in " ".join(" ".join(lines).split())
    assert {cell_len(line) for line in lines} == {width}
    assert len(lines) <= 23
    seen.step(step_line(2))
    assert "gold" not in "".join(drawn(seen, width))
    assert "paid-gold −0.12 [−0.20, −0.05]  false accepts 23 %" in step_text(step_line(1, pay=pay), 30, None)
    assert "gold" not in step_text(step_line(1), 30, None)


@pytest.mark.parametrize("width", [80, 140])
def test_curves_stand_under_the_bar_and_end_where_the_run_is(midway, width):
    lines = drawn(midway, width)
    bar = next(line for line in lines if "step " in line)
    left, right = bar.index("━"), bar.rindex("━") + 1
    foot = lines[next(number for number, line in enumerate(lines) if line.startswith("│ reward")) + 1][left:right]
    # 12 of 30 steps are done: 2/5 of the curve, and a column counts as soon as one of its steps is done
    assert len(foot.rstrip()) == pytest.approx((right - left) * 12 / 30, abs=1)
    heights = [BLOCKS.index(block) for block in foot.rstrip()]
    assert heights == sorted(heights), "a reward that only rises is a curve that only rises"
    assert heights[0] > 0


@pytest.mark.parametrize("width", [80, 140])
def test_what_is_not_known_is_a_dash(width):
    seen = watched()
    empty = dict.fromkeys(step_line(1), None) | {"step": 1, "grad_norm": float("nan"), "reward": float("inf")}
    seen.evaluated(evaluation_line(0, None, None, None))
    seen.step(empty)
    text = "\n".join(drawn(seen, width))
    assert not re.search(r"nan|inf|None|0\.0", text), text
    assert text.count("–") == 2 + 15 + 2  # reward and pass rate, the cells, the newest and the oldest evaluation
    assert {cell_len(line) for line in text.splitlines()} == {width}


def test_a_panel_of_which_nothing_is_known_yet_and_one_too_narrow_still_draw():
    assert "– left" in "".join(drawn(watched(), 80))
    assert "20/30" in "".join(drawn(watched(first_step=21), 80)), "a resumed run starts where it was"
    assert drawn(watched(), 30)


def test_every_step_is_under_a_column_and_columns_keep_the_order():
    for num_steps in (1, 2, 7, 30, 100):
        for width in (1, 8, 30, 32, 99):
            under = [
                {step for step in range(1, num_steps + 1) if step_columns({step: 1.0}, num_steps, width)[column]} for column in range(width)
            ]
            assert set().union(*under) == set(range(1, num_steps + 1)), (num_steps, width)
            assert all(under)
            assert all(max(one) <= min(next_one) for one, next_one in pairwise(under))


def test_a_column_of_several_steps_is_their_mean():
    values = {1: 1.0, 2: 3.0, 3: 5.0, 4: None, 5: 2.0, 6: 4.0}
    assert step_columns(values, num_steps=6, width=3) == [2.0, 5.0, 3.0]  # (1+3)/2, 5 alone, (2+4)/2


def test_evaluations_before_and_after_training_are_the_two_edges():
    for num_steps in (1, 4, 30, 500):
        columns = evaluation_columns({0: 0.1, num_steps: 0.9}, num_steps, 20)
        assert (columns[0], columns[-1]) == (0.1, 0.9)
        assert columns[1:-1] == [None] * 18


def test_a_curve_uses_all_levels_and_clips():
    rows = curve([-9.0, *(level / 15 for level in range(16)), 9.0, None], 0.0, 1.0)
    totals = [sum(BLOCKS.index(row[column]) for row in rows) for column in range(19)]
    assert totals == [1, *range(1, 17), 16, 0]


def test_time_left_is_the_pace_of_the_last_twenty_steps():
    now_s = Clock()
    seen = watched(num_steps=100, now_s=now_s)
    assert seen.left_s() is None
    for step in range(1, 26):
        now_s.time_s += 10
        seen.step(step_line(step))
    assert seen.left_s() == pytest.approx(75 * 10)
    for step in range(26, 46):
        now_s.time_s += 1
        seen.step(step_line(step))
    assert seen.left_s() == pytest.approx(55 * 1)
    now_s.time_s += 0.5
    assert seen.left_s() == pytest.approx(54.5)
    now_s.time_s += 1000
    assert seen.left_s() == 0.0


def test_history_of_a_resumed_run_is_drawn_but_not_timed():
    now_s = Clock()
    seen = watched(num_steps=30, first_step=21, now_s=now_s)
    for step in range(1, 21):
        seen.step(step_line(step))
    assert seen.left_s() is None
    now_s.time_s += 4
    seen.step(step_line(21))
    assert seen.left_s() == pytest.approx(9 * 4)
    assert len(seen.lines) == 21


def test_what_another_thread_draws_is_never_changed_in_place():
    seen = watched()
    lines, evaluations = seen.lines, seen.evaluations
    seen.step(step_line(1))
    seen.evaluated(evaluation_line(1, 0.5, 0.4, 0.6))
    assert (lines, evaluations) == ({}, {})
    assert (list(seen.lines), list(seen.evaluations)) == ([1], [1])


def test_on_a_terminal_the_last_picture_stays_and_notes_stand_above(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    with training_panel("lab on arithmetic, grpo", 2, 1, quiet=False, console=console) as panel:
        panel.stage("sampling", 8)
        panel.advance(8, 100)
        panel.step(step_line(1))
        panel.note("saved checkpoints/step-00001 [best]")
        panel.step(step_line(2))
    text = ANSI.sub("", screen.getvalue())
    assert "saved checkpoints/step-00001 [best]" in text
    last = text[text.rindex("╭") :]
    assert "2/2" in last
    assert "finished" in last
    assert "saved" not in last


def test_a_run_that_breaks_off_does_not_call_itself_finished(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    screen = io.StringIO()

    def break_off():
        with training_panel("a run", 2, 1, quiet=False, console=Console(file=screen, force_terminal=True, width=80)) as panel:
            panel.stage("updating")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    text = ANSI.sub("", screen.getvalue())
    assert "updating" in text
    assert "finished" not in text


def test_without_a_terminal_a_line_a_step_and_a_line_an_evaluation(capsys):
    with training_panel("lab on arithmetic, grpo", 30, 1, quiet=False) as panel:
        panel.evaluated(evaluation_line(0, 0.5, 0.4, 0.6))
        panel.stage("sampling", 64)
        panel.advance(64, 1000)
        panel.step(step_line(1, kl_nats=None, num_unscored=3))
    printed = capsys.readouterr()
    assert printed.out == ""
    first, evaluation, step = printed.err.splitlines()  # none is wrapped, however long
    assert first == "lab on arithmetic, grpo: steps 1 to 30"
    assert evaluation == "held-out at step 0  pass@1 50.0 [40.0, 60.0] %  kl –  length 30.0  truncated 0.000  12.0 s"
    assert step.startswith("step 1/30  reward 0.250  pass 0.500  live 0.625  length 31.2  truncated 0.031  entropy 0.750  kl –  grad 1.500")
    assert re.search(r"  unscored 3  8\.1 s, \d+:\d\d left$", step)


def test_without_a_terminal_history_is_not_printed_again():
    said: list[str] = []
    panel = PlainPanel(watched(first_step=21, said=said))
    for step in range(1, 21):
        panel.step(step_line(step))
    for step in (0, 10, 20):
        panel.evaluated(evaluation_line(step, 0.5, 0.4, 0.6))
    assert [text.split("  ")[0] for text in said] == ["smollm2 on [math], grpo: steps 21 to 30", "held-out at step 20"]


def test_without_a_terminal_a_long_step_gives_a_sign_of_life():
    now_s = Clock()
    said: list[str] = []
    panel = PlainPanel(watched(now_s=now_s, said=said))
    panel.stage("sampling", 64)
    for _ in range(4):
        now_s.time_s += 0.6 * PLAIN_SILENCE_S
        panel.advance(8, 90)
    # silences of 0.6, 1.2 (said), 0.6, 1.2 (said) limits; 180 tokens in 36 s, then 360 in 72 s
    assert said[1:] == ["step 1/30  sampling 16/64 rollouts  5 tokens/s  0:36", "step 1/30  sampling 32/64 rollouts  5 tokens/s  1:12"]


def test_quiet_is_quiet(capsys):
    with training_panel("a run", 2, 1, quiet=True) as panel:
        panel.stage("sampling", 8)
        panel.advance(8, 100)
        panel.step(step_line(1))
        panel.evaluated(evaluation_line(1, 0.5, 0.4, 0.6))
        panel.note("something")
    assert capsys.readouterr() == ("", "")


def test_a_clock_never_shows_sixty_seconds():
    assert [clock(seconds) for seconds in (0, 59.99, 60, 3599, 3600, 36_000)] == ["0:00", "0:59", "1:00", "59:59", "1:00:00", "10:00:00"]
