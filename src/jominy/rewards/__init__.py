"""A reward is a function (Prompt, text) -> Reward."""
