"""How fast the measures are: one silhouette against scikit-learn's, and all of them over a million prompts.

    python bench/measures.py                  # both, about two minutes
    python bench/measures.py --prompts 1000000 --rollouts 64    # one size of the second part, as the first form starts it

Each size runs in a process of its own, so that the peak of its memory is its own. Inputs are synthetic columns (beta pass rates,
probabilities that differ a little between right and wrong answers, 1 % of the rollouts unscored, 5 % truncated); making them is not timed,
but its memory counts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time

import numpy as np

from jominy.groups import Groups
from jominy.measures.clarity import measure_clarity
from jominy.measures.clarity_by_size import SIZES as CLARITY_SIZES
from jominy.measures.clarity_by_size import clarity_by_size
from jominy.measures.liveness import measure_liveness
from jominy.measures.passk import measure_passk
from jominy.measures.silhouette import silhouette_samples

SIZES = (250_000, 500_000, 1_000_000)


def synthetic_groups(num_prompts: int, num_rollouts: int, seed: int) -> Groups:
    """Columns as a reader of Parquet would hand them over."""
    rng = np.random.default_rng(seed)
    shape = (num_prompts, num_rollouts)
    pass_rate_P = rng.beta(0.5, 1.0, size=num_prompts).astype(np.float32)
    right = rng.random(shape, dtype=np.float32) < pass_rate_P[:, None]
    noise = rng.standard_normal(shape, dtype=np.float32)
    noise += 0.5 * right
    probability = np.empty(shape)
    np.multiply(noise, 0.2, out=probability)
    del noise
    np.subtract(probability, 1.0, out=probability)
    np.minimum(probability, 0.0, out=probability)
    np.exp(probability, out=probability)
    scored_N = rng.random(shape, dtype=np.float32).ravel() >= 0.01
    correct_N = right.ravel() & scored_N
    return Groups(
        offsets_P1=np.arange(num_prompts + 1, dtype=np.int64) * num_rollouts,
        rewards_N=correct_N.astype(np.float64),
        scored_N=scored_N,
        correct_N=correct_N,
        probability_N=probability.ravel(),
        truncated_N=rng.random(shape, dtype=np.float32).ravel() < 0.05,
        repetitive_N=rng.random(shape, dtype=np.float32).ravel() < 0.02,
    )


def time_measures(num_prompts: int, num_rollouts: int) -> dict[str, float]:
    """Seconds of each measure, processor seconds of all (what a busy machine does not stretch), and the peak memory of the process."""
    groups = synthetic_groups(num_prompts, num_rollouts, seed=0)
    seconds = {}
    begin_cpu = time.process_time()
    begin = time.perf_counter()
    measure_passk(groups)
    seconds["passk_s"] = time.perf_counter() - begin
    begin = time.perf_counter()
    measure_liveness(groups, np.random.default_rng(1))
    seconds["liveness_s"] = time.perf_counter() - begin
    begin = time.perf_counter()
    measure_clarity(groups, np.random.default_rng(2))
    seconds["clarity_s"] = time.perf_counter() - begin
    begin = time.perf_counter()
    clarity_by_size(groups, CLARITY_SIZES, np.random.default_rng(3))
    seconds["by_size_s"] = time.perf_counter() - begin
    cpu_s = time.process_time() - begin_cpu
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {"prompts": num_prompts, **seconds, "total_s": sum(seconds.values()), "cpu_s": cpu_s, "peak_gb": peak_gb}


def time_silhouette(num_answers: int = 20_000, repeats: int = 5) -> tuple[float, float, float]:
    """Seconds of scikit-learn, seconds of jominy (both the best of some), and the largest difference of any s_i."""
    from sklearn.metrics import silhouette_samples as sklearn_samples

    rng = np.random.default_rng(0)
    right_n = rng.random(num_answers) < 0.4
    values_n = np.exp(-np.abs(rng.normal(1.0, 0.3, size=num_answers) - 0.3 * right_n))
    theirs, ours = [], []
    for metric in ("euclidean", "manhattan"):
        # On the line both are |x - y|; the faster counts, the exact one (euclidean goes through x^2 - 2xy + y^2) is compared with.
        begin = time.perf_counter()
        expected_n = sklearn_samples(values_n[:, None], right_n, metric=metric)
        theirs.append(time.perf_counter() - begin)
    for _ in range(repeats):
        begin = time.perf_counter()
        found_n = silhouette_samples(values_n, right_n)
        ours.append(time.perf_counter() - begin)
    return min(theirs), min(ours), float(np.abs(expected_n - found_n).max())


def main() -> None:
    """Print everything, or one size as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, help="only this size, as JSON")
    parser.add_argument("--rollouts", type=int, default=64)
    options = parser.parse_args()
    if options.prompts is not None:
        print(json.dumps(time_measures(options.prompts, options.rollouts)))
        return
    theirs, ours, difference = time_silhouette()
    print(f"one group of 20,000: scikit-learn {theirs:.2f} s, jominy {ours * 1e3:.2f} ms, ratio {theirs / ours:,.0f}")
    print(f"  largest difference of any s_i {difference:.1e}")
    print(f"pass@k + liveness + clarity (also by size) with intervals, {options.rollouts} rollouts a prompt, {os.cpu_count()} cores:")
    for size in SIZES:
        command = [sys.executable, __file__, "--prompts", str(size), "--rollouts", str(options.rollouts)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(
            f"  {size:>9,} prompts: {found['total_s']:5.1f} s (pass@k {found['passk_s']:.1f}, liveness {found['liveness_s']:.1f}, "
            f"clarity {found['clarity_s']:.1f}, "
            f"by size {found['by_size_s']:.1f}), processor {found['cpu_s']:.1f} s = {found['cpu_s'] / size * 1e6:.1f} us a prompt, "
            f"peak {found['peak_gb']:.1f} GB",
            flush=True,
        )


if __name__ == "__main__":
    main()
