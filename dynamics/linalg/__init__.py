"""Matrices of a model that are too large to write down carelessly: tangent kernels, curvature, and what they say."""

from dynamics.linalg.eigen import eigsh
from dynamics.linalg.lanczos import asymmetry, lanczos
from dynamics.linalg.ntk import kernel_vector, ntk, spread
from dynamics.linalg.products import fisher, ggn, hessian
from dynamics.linalg.quadrature import slq

__all__ = ['asymmetry', 'eigsh', 'fisher', 'ggn', 'hessian', 'kernel_vector', 'lanczos', 'ntk', 'slq', 'spread']
