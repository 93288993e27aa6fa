"""What needs only products of a symmetric operator with vectors: its tridiagonal form, spectrum and extreme eigenpairs."""

from dynamics.linalg.eigen import Eigen, eigsh
from dynamics.linalg.lanczos import Lanczos, asymmetry, lanczos
from dynamics.linalg.quadrature import Quadrature, density, moments, slq, trace

__all__ = ['Eigen', 'Lanczos', 'Quadrature', 'asymmetry', 'density', 'eigsh', 'lanczos', 'moments', 'slq', 'trace']
