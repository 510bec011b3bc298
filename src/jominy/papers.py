"""The papers that findings and advice rest on; `docs/papers.md` says what of each is in the code.

Measures name their own, with the equation.
"""

from __future__ import annotations

from jominy.records import Paper

ALIGNMENT = Paper(arxiv="2508.21188", title="Mirage or Method? How Model-Task Alignment Induces Divergent RL Conclusions")
CLARITY = Paper(arxiv="2601.06911", title="Distributional Clarity: The Hidden Driver of RL-Friendliness")
PRECISION = Paper(arxiv="2601.04954", title="Precision over Diversity: High-Precision Reward Generalizes to Robust Instruction Following")
DAPO = Paper(arxiv="2503.14476", title="DAPO", where="dynamic sampling, overlong filtering")
PASS_AT_K = Paper(arxiv="2107.03374", title="Evaluating Large Language Models Trained on Code", where="eq. 1")
DECISIONS = Paper(arxiv="2601.01580", title="The Two-Stage Decision-Sampling Hypothesis")
DECOMPOSED = Paper(arxiv="2506.01347", title="The Surprising Effectiveness of Negative Reinforcement")
