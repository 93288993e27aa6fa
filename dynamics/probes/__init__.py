"""The instruments, one family a file. Every maker takes (apply, loss) first, and its own choices as keywords."""

from dynamics.probes.alignment import alignment
from dynamics.probes.balance import balance
from dynamics.probes.clock import clock, rest
from dynamics.probes.collapse import collapse
from dynamics.probes.curvature import dense_spectrum, hessian_spectrum, sharpness
from dynamics.probes.distance import distance, norms
from dynamics.probes.inputs import null_space, spectrum
from dynamics.probes.kernel import kernel, kernel_regression
from dynamics.probes.landscape import interpolation, landscape
from dynamics.probes.linearisation import linearisation
from dynamics.probes.meters import meters
from dynamics.probes.modes import modes
from dynamics.probes.noise import batch_curvature, gradient_noise
from dynamics.probes.oscillation import oscillation
from dynamics.probes.patches import patches
from dynamics.probes.path import path, potential
from dynamics.probes.performance import performance
from dynamics.probes.predictions import predictions
from dynamics.probes.recovery import recovery
from dynamics.probes.representation import activity, neural_collapse, representation
from dynamics.probes.residuals import residuals
from dynamics.probes.signal import signal
from dynamics.probes.step import effective_step
from dynamics.probes.weights import weights

__all__ = [
  'activity',
  'alignment',
  'balance',
  'batch_curvature',
  'clock',
  'collapse',
  'dense_spectrum',
  'distance',
  'effective_step',
  'gradient_noise',
  'hessian_spectrum',
  'interpolation',
  'kernel',
  'kernel_regression',
  'landscape',
  'linearisation',
  'meters',
  'modes',
  'neural_collapse',
  'norms',
  'null_space',
  'oscillation',
  'patches',
  'path',
  'performance',
  'potential',
  'predictions',
  'recovery',
  'representation',
  'residuals',
  'rest',
  'sharpness',
  'signal',
  'spectrum',
  'weights',
]

USUAL = ('distance', 'norms', 'performance')  # on where a config names none; together they cost little more than a forward pass
