"""Closed forms that experiments are held against, one family a file.

Nothing is imported here, so that the files that need numpy alone (`deep_linear`, `spectra`) load without jax.
"""
