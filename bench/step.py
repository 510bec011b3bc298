"""A whole training step - sample, reward, update - by TRL's `GRPOTrainer` and by jominy, each in a fresh process, in turn.

    python bench/step.py                          # 4 prompts x 8 rollouts x at most 64 tokens of task constraints
    python bench/step.py --constant-third         # 6 prompts, the rewards of 2 of them constant
    python bench/step.py --prompt-tokens 400      # the same prompts behind neutral text
    python bench/step.py --device cuda            # the default where there is a GPU: bfloat16, 16 prompts x 16 rollouts

Same model, prompts, number of rollouts, length limit, temperature, reward and optimiser; the loss is TRL's default (`dapo` with a symmetric
clip; in jominy `grpo:divide=tokens`). The reward is the share of vowels, so that no group is constant by chance. TRL runs without
activation checkpointing, which is faster (its default is with: `--trl-checkpointing`); `--trl-batch` cuts its batches where its activations
do not fit. Each process makes one step that is not counted. Seconds are whole steps, processor seconds those of all threads, for a machine
that is busy with other work; the peak is of the process and includes loading. Each side draws its own responses: tokens stand beside the
seconds. Not run on a GPU so far.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

NEUTRAL = "The following line is only there to make the text longer and says nothing about the task. "
SIDES = ("trl", "jominy")


def main() -> None:
    """Runs the comparison and prints it; with --side, one side of it, which is what the fresh processes do."""
    options = arguments()
    if options.side:
        found = WORKERS[options.side](options)
        Path(options.out).write_text(json.dumps(found))
        return
    rounds = []
    for number in range(options.rounds):
        order = SIDES if number % 2 == 0 else SIDES[::-1]
        found = {side: in_fresh_process(side, options.seed + number) for side in order}
        rounds.append({side: found[side] for side in SIDES})
        print(f"round {number}", *(f"  {side:6} {line(found[side])}" for side in SIDES), sep="\n", flush=True)
    report(rounds)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--device", default="auto", help="cpu or cuda; auto takes a GPU where there is one")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=0, help="a step; 0: 4, with --constant-third 6, on a GPU 16")
    parser.add_argument("--rollouts", type=int, default=0, help="a prompt; 0: 8, on a GPU 16")
    parser.add_argument("--tokens", type=int, default=64, help="of a response at most")
    parser.add_argument("--steps", type=int, default=2, help="counted ones of each process")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--constant-third", action="store_true", help="the reward of every third prompt is 0.5 whatever the response")
    parser.add_argument("--prompt-tokens", type=int, default=0, help="lengthen the prompts to about so many tokens")
    parser.add_argument("--trl-batch", type=int, default=0, help="rows of a TRL forward pass; 0: all of the step")
    parser.add_argument("--trl-checkpointing", action="store_true")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--out", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.device == "auto":
        import torch

        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    gpu = options.device.startswith("cuda")
    options.prompts = options.prompts or (16 if gpu else 6 if options.constant_third else 4)
    options.rollouts = options.rollouts or (16 if gpu else 8)
    return options


def in_fresh_process(side: str, seed: int) -> dict[str, Any]:
    """What one side measured."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [sys.executable, "-W", "ignore", __file__, *sys.argv[1:], "--side", side, "--out", str(out), "--seed", str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        if done.returncode:
            raise SystemExit(f"{side} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        found: dict[str, Any] = json.loads(out.read_text())
    return found


def line(found: dict[str, Any]) -> str:
    """One side's numbers."""
    each = ", ".join(f"{seconds:.2f}" for seconds in found["seconds"])
    text = f"{mean(found['seconds']):6.2f} s a step ({each}), {mean(found['processor_s']):.1f} processor seconds, "
    text += f"peak {found['peak_gb']:.2f} GB, {mean(found['tokens']):.0f} tokens drawn"
    if "sampling_s" in found:
        sampling, update = mean(found["sampling_s"]), mean(found["update_s"])
        text += f"\n         sampling {sampling:.2f} s, {mean(found['tokens']) / sampling:.0f} tokens/s; update {update:.2f} s, "
        text += f"{mean(found['trained']) / update:.0f} tokens/s of {mean(found['passed']):.0f} through the model"
        text += f"\n         matrix rate MKL {found['mkl']:.0f}, oneDNN {found['onednn']:.0f} GFLOP/s; of oneDNN's: "
        text += f"sampling {found['gigaflop_drawn'] / sampling / found['onednn']:.0%}, "
        text += f"update {found['gigaflop_update'] / update / found['onednn']:.0%}"
    return text


def report(rounds: list[dict[str, Any]]) -> None:
    """Ratios over all rounds."""
    wall = [mean(each["trl"]["seconds"]) / mean(each["jominy"]["seconds"]) for each in rounds]
    by_token = [ratio * mean(each["jominy"]["tokens"]) / mean(each["trl"]["tokens"]) for ratio, each in zip(wall, rounds, strict=True)]
    memory = [each["jominy"]["peak_gb"] / each["trl"]["peak_gb"] for each in rounds]
    processor = [mean(each["trl"]["processor_s"]) / mean(each["jominy"]["processor_s"]) for each in rounds]
    print(f"TRL / jominy, seconds:            {spread(wall)}")
    print(f"TRL / jominy, processor seconds:  {spread(processor)}")
    print(f"TRL / jominy, seconds by token:   {spread(by_token)}")
    print(f"jominy / TRL, peak memory:        {spread(memory)}")


def spread(values: list[float]) -> str:
    """Median, and the extremes."""
    return f"{statistics.median(values):.2f} (min {min(values):.2f}, max {max(values):.2f}, {len(values)} rounds)"


def mean(values: list[float]) -> float:
    """Of at least one."""
    return statistics.fmean(values)


def vowels(text: str, number: int, constant_third: bool) -> float:
    """The reward: share of vowels, or 0.5 for every third prompt."""
    return 0.5 if constant_third and number % 3 == 0 else sum(map(text.lower().count, "aeiou")) / max(1, len(text))


def requests(tokenizer: Any, options: argparse.Namespace) -> list[str]:
    """What the user says in each prompt."""
    from jominy.tasks.loading import load_task

    texts = [prompt.messages[-1].content for prompt in load_task("constraints").prompts(options.prompts, 0)]
    for number, text in enumerate(texts):
        longer = text
        while options.prompt_tokens and len(tokenizer(longer)["input_ids"]) < options.prompt_tokens - 30:
            longer = NEUTRAL + longer
        texts[number] = longer
    return texts


def run_trl(options: argparse.Namespace) -> dict[str, Any]:
    """Steps of `GRPOTrainer`."""
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    from jominy.engines.models import load_model

    torch.set_num_threads(options.threads)
    folder = load_model(options.model, "cpu")[0].config.name_or_path
    texts = requests(AutoTokenizer.from_pretrained(folder), options)
    rows = [{"prompt": [{"role": "user", "content": text}], "number": number} for number, text in enumerate(texts)]
    seconds: list[float] = []
    processor_s: list[float] = []
    tokens: list[int] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        """Whole steps."""

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.start = now(options.device), time.process_time()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            seconds.append(now(options.device) - self.start[0])
            processor_s.append(time.process_time() - self.start[1])

    def reward(completions: list[Any], completion_ids: list[list[int]], number: list[int], **_: Any) -> list[float]:
        tokens.append(sum(map(len, completion_ids)))
        return [vowels(said[0]["content"], each, options.constant_third) for said, each in zip(completions, number, strict=True)]

    batch = options.trl_batch or options.prompts * options.rollouts
    gpu = options.device.startswith("cuda")
    settings = GRPOConfig(
        output_dir="trl", use_cpu=not gpu, bf16=gpu, report_to=[], save_strategy="no", disable_tqdm=True, logging_steps=1000,
        per_device_train_batch_size=batch, gradient_accumulation_steps=options.prompts * options.rollouts // batch,
        num_generations=options.rollouts, max_completion_length=options.tokens, max_steps=1 + options.steps,
        learning_rate=1e-6, gradient_checkpointing=options.trl_checkpointing, seed=options.seed, shuffle_dataset=False,
    )  # fmt: skip
    trainer = GRPOTrainer(model=folder, reward_funcs=reward, args=settings, train_dataset=Dataset.from_list(rows), callbacks=[Clock()])
    trainer.train()
    return {"seconds": seconds[1:], "processor_s": processor_s[1:], "tokens": tokens[1:], "peak_gb": peak_gb(options.device)}


def run_jominy(options: argparse.Namespace) -> dict[str, Any]:
    """The same steps."""
    import torch

    from jominy.engines.learner import Learner
    from jominy.engines.local import LocalEngine
    from jominy.engines.passes import Passes
    from jominy.records import Message, Prompt

    torch.set_num_threads(options.threads)
    engine = LocalEngine.load(options.model, options.device)
    texts = requests(engine.tokenizer, options)
    prompts = [Prompt(id=str(number), task="bench", messages=(Message(role="user", content=text),)) for number, text in enumerate(texts)]
    learner = Learner(Passes(engine.network))
    steps = [jominy_step(engine, learner, prompts, options, number) for number in range(1 + options.steps)][1:]
    found: dict[str, Any] = {name: [step[name] for step in steps] for name in steps[0]}
    found["peak_gb"] = peak_gb(options.device)
    rates = matrix_rates(engine.model, options.device)
    inner = sum(layer.weight.numel() for layer in engine.network.decoder.modules() if isinstance(layer, torch.nn.Linear))
    head = engine.model.get_output_embeddings().weight.numel()
    # a product costs 2 operations a weight; an update makes it once forward and twice backward, the head once more
    found["gigaflop_drawn"] = 2e-9 * (inner + head) * mean(found["tokens"])
    found["gigaflop_update"] = 2e-9 * (3 * inner * mean(found["passed"]) + 4 * head * mean(found["trained"]))
    return {**found, **rates}


def jominy_step(engine: Any, learner: Any, prompts: list[Any], options: argparse.Namespace, number: int) -> dict[str, Any]:
    """One step and its seconds."""
    from dataclasses import replace

    from jominy.crediting import groups_of_rollouts, rows_to_step
    from jominy.recipes.loading import load_recipe
    from jominy.records import Reward, Sampling

    recipe = load_recipe("grpo:divide=tokens")
    start, processor = now(options.device), time.process_time()
    drawn = engine.sample(prompts, options.rollouts, Sampling(max_tokens=options.tokens), seed=1000 * options.seed + number)
    batch = [
        [replace(each, reward=Reward(value=vowels(each.text, int(each.prompt_id), options.constant_third))) for each in group]
        for group in drawn
    ]
    sampled = now(options.device)
    groups = groups_of_rollouts(batch, success=1.0)
    prompt_ids = {prompt.id: engine.encode(prompt) for prompt in prompts}
    rows, _ = rows_to_step(recipe, batch, groups, recipe.credit(groups), prompt_ids)
    seen = learner.step(rows, recipe.weigh, 1e-6, clipped=recipe.clipped).seen
    end = now(options.device)
    return {
        "seconds": end - start,
        "processor_s": time.process_time() - processor,
        "sampling_s": sampled - start,
        "update_s": end - sampled,
        "tokens": sum(len(each.token_ids) for group in batch for each in group),
        "trained": sum(len(row.completion_ids) for row in rows),
        "passed": seen.num_tokens,
    }


def now(device: str) -> float:
    """Seconds, when the device has done what it was told."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()
    return time.perf_counter()


def peak_gb(device: str) -> float:
    """The most memory so far: of the process, or of the GPU."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def matrix_rates(model: Any, device: str) -> dict[str, float]:
    """GFLOP/s of 512 rows times the model's widest inner layer, best of ten: torch's own product, and oneDNN's where there is one."""
    import torch

    from jominy.engines.linears import product
    from jominy.engines.packed import can_pack

    layers = [layer.weight for layer in model.get_decoder().modules() if isinstance(layer, torch.nn.Linear)]
    weight = max(layers, key=lambda candidate: candidate.shape[0])
    rows = torch.randn(512, weight.shape[1], dtype=weight.dtype, device=weight.device)
    ways: dict[str, Callable[..., torch.Tensor]] = {"mkl": torch.nn.functional.linear}
    ways["onednn"] = product if can_pack(weight) else torch.nn.functional.linear
    rates = {}
    for name, way in ways.items():
        seconds = []
        with torch.no_grad():
            for _ in range(11):
                start = now(device)
                way(rows, weight)
                seconds.append(now(device) - start)
        rates[name] = 2e-9 * rows.shape[0] * weight.numel() / min(seconds)
    return rates


WORKERS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {"trl": run_trl, "jominy": run_jominy}

if __name__ == "__main__":
    main()
