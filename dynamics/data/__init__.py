"""Tasks: key -> arrays on the device, one family a file. `name(**choices)` gives a `dynamics.types.Task`."""

from dynamics.data.constraints import constraints
from dynamics.data.decisions import context_integration, match_to_sample, two_alternative
from dynamics.data.images import images
from dynamics.data.matrix_sensing import matrix_sensing
from dynamics.data.modes import hierarchy, linear_map
from dynamics.data.modular import modular
from dynamics.data.parity import parity
from dynamics.data.patches import patches
from dynamics.data.perceptron import perceptron
from dynamics.data.permutation import permutation
from dynamics.data.scans import scans
from dynamics.data.shuffled import shuffled
from dynamics.data.sphere import sphere
from dynamics.data.teacher import teacher

__all__ = ['constraints', 'context_integration', 'hierarchy', 'images', 'linear_map', 'match_to_sample', 'matrix_sensing',
           'modular', 'parity', 'patches', 'perceptron', 'permutation', 'scans', 'shuffled', 'sphere', 'teacher',
           'two_alternative']  # fmt: skip
