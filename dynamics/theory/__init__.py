"""Closed-form theory that experiments are compared with, one family per file.

This file imports nothing, so that files which need only numpy (`deep_linear`, `permutation`, `relu_limit`, `spectra`) load
without jax.
"""
