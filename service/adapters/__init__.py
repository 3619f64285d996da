"""Adapters: one outside system each."""
