"""Matrices of a model that are too large to write down carelessly: tangent kernels, and what they say."""

from dynamics.linalg.ntk import kernel_vector, ntk, spread

__all__ = ['kernel_vector', 'ntk', 'spread']
