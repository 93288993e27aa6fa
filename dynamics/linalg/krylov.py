"""Krylov methods, which need only products of a symmetric operator with vectors: Lanczos, eigenpairs, spectral densities."""

from dynamics.linalg.eigen import Eigen, eigsh
from dynamics.linalg.lanczos import Lanczos, asymmetry, lanczos
from dynamics.linalg.quadrature import Quadrature, density, moments, slq, trace

__all__ = ['Eigen', 'Lanczos', 'Quadrature', 'asymmetry', 'density', 'eigsh', 'lanczos', 'moments', 'slq', 'trace']
