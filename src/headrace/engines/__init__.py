"""Implementations of the primitives, one package each."""
