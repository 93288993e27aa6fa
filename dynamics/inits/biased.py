"""Gaussian weights with Gaussian biases: the two numbers of which mean-field theory speaks."""

from dynamics import trees
from dynamics.components import component
from dynamics.inits import distributions
from dynamics.inits.independent import Init, Scale, independent
from dynamics.leaves import map_leaves
from dynamics.schema import Traced


@component()
def biased(*, bias_std: Traced(least=0.0) = 0.1, init_scale: Scale = 1.0) -> Init:
  """Weights N(0, init_scale^2 / fan_in) and biases N(0, bias_std^2), which other inits start at 0.

  Args:
    bias_std: sigma_b, whatever the layer's fan_in.
    init_scale: sigma_w.

  Source: 1606.05340.
  """
  weights = independent(distributions.gaussian, init_scale)

  def init(key, leaves, data):
    params = trees.by_path(weights(key, leaves, data))

    def fill(leaf):
      if leaf.role != 'bias':
        return params[leaf.name]
      return distributions.gaussian(trees.named_key(key, leaf.name), leaf) * bias_std

    return map_leaves(fill, leaves)

  return init
