"""Benchmarks: commands, not tests. ``python -m benchmarks`` compares in one run, in turns."""
