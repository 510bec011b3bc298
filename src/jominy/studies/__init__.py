"""Studies: each paper's claim put to the test in miniature, with seeds and intervals. `running.study` runs one."""
