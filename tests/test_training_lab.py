"""The loop from end to end on a model that the lab makes: what a new user types first, and it learns."""

from __future__ import annotations

from transformers import AutoModelForCausalLM

from jominy.explaining import explain_path
from jominy.specs import RunSpec
from jominy.steplog import read_steps
from jominy.training import train


def test_grpo_improves_a_half_able_model_on_held_out_prompts(tmp_path):
    folder = train(RunSpec(model="lab", task="arithmetic:digits=1", recipe="grpo", steps=20), tmp_path / "run", quiet=True)
    explanation = explain_path(folder.path)
    gain = explanation.passk[0].difference
    assert gain.low is not None
    assert gain.low > 0.03  # surely better, though 0.05 to 0.3 is what comes of it
    lines = read_steps(folder.path)
    assert len(lines) == 20
    assert lines[0]["policy"].startswith("lab-")
    assert lines[-1]["policy"] == f"{lines[0]['policy']}+step 19"
    assert max(line["max_gap_nats"] for line in lines if line["num_rows"]) < 1e-3
    assert AutoModelForCausalLM.from_pretrained(folder.model).config.vocab_size > 10
