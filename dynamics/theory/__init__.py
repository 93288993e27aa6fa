"""Closed-form theory that experiments are compared with, one family per file.

This file imports nothing, so that files which need numpy alone, those that figures draw, load without jax.
"""
