"""Prompts and how they are graded, one task a file."""
