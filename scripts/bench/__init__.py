"""Benchmarks: how the figures of the README are obtained."""
