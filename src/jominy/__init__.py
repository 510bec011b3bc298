"""Measure whether reinforcement learning will work for a language model, a task and a reward - before the run."""
