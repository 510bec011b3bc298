"""Is there something to learn, and can the reward see it? Pure functions of columns; no torch, no files, no text."""
