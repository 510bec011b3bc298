"""Progress where there is no terminal: lines, and signs of life no more often than is said."""

from __future__ import annotations

import pytest

from jominy import progress


def test_jobs_in_hand_show_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, now = list[str](), [0.0]
    monkeypatch.setattr("jominy.progress.time.monotonic", lambda: now[0])
    bar = progress._plain_jobs(lines.append, "precision, judges", 2)
    for second, said in ((30, "1 question"), (70, "2 questions"), (80, "3 questions"), (140, "2 questions"), (150, "4 questions")):
        now[0] = float(second)
        bar.say(said)
    # at 30 and 80 too early, at 140 nothing new
    assert lines == ["precision, judges 0/2: 2 questions", "precision, judges 0/2: 4 questions"]
    now[0] = 180.0
    bar.end("smollm2, judge: base")
    bar.say("5 questions")
    # 3 minutes for one of two
    assert lines[2:] == ["precision, judges 1/2, 3 min left: smollm2, judge: base"]


def test_quiet_jobs_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.job_bar("precision, judges", 1, quiet=True) as bar:
        bar.say("1 question")
        bar.end("smollm2, judge: base")
    assert capsys.readouterr() == ("", "")
