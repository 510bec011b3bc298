"""Verbs of the command line, one a file: the flags of each and what it prints. `cli` puts them together."""
