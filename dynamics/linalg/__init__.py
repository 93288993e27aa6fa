"""Linear algebra of a model without forming its large matrices: tangent kernels, curvature products, spectra, traces."""

from dynamics.linalg.eigen import eigsh
from dynamics.linalg.lanczos import asymmetry, lanczos
from dynamics.linalg.ntk import kernel_vector, ntk, sharded_ntk
from dynamics.linalg.products import fisher, ggn, hessian
from dynamics.linalg.projections import directional_ntk, projected_ntk
from dynamics.linalg.quadrature import slq

__all__ = [
  'asymmetry', 'directional_ntk', 'eigsh', 'fisher', 'ggn', 'hessian', 'kernel_vector', 'lanczos', 'ntk', 'projected_ntk',
  'sharded_ntk', 'slq',
]  # fmt: skip
