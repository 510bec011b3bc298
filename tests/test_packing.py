"""Completions become rows."""

from __future__ import annotations

from jominy.packing import rows_to_score


def test_rows_to_score_have_no_weights():
    (row,) = rows_to_score({"p": [1]}, [("p", [44, 2])])
    assert row.weights is None
    assert row.completion_ids.tolist() == [44, 2]
