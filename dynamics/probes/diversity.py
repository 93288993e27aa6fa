"""How fast the state of a residual network moves along its depth."""

import jax.numpy as jnp

from dynamics.components import component
from dynamics.probes.evaluation import first
from dynamics.schema import Range
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe, stateless


@component(needs=('hidden_layers',))
def diversity(*, examples: Range(int, least=1) = 64, gaps: tuple[Range(int, least=1), ...] = (1, 2, 4, 8)) -> Probe:
  """Feature diversity: how far features some layers apart differ, on the first `examples` training inputs.

  x_l are the features that have the shape of the last ones: of a residual network the states after its first layer and after each
  block. Against the gap, increments grow as its power 1 - kappa, where kappa is the exponent of diversity: 1/2 of a random walk
  along the depth, 0 of a smooth path.

  Args:
    examples: n.
    gaps: g, in layers.

  Reading:
    increment (g,): |x_(l+g) - x_l| over |x_l|, both root mean squares over examples, units and all l; NaN for a gap that is
      longer than the network, and of features that are zero.
  Cost: one forward pass on n examples; no state.
  Oracle: numpy in float64, pair by pair.
  Source: 2310.02244, the feature diversity exponent.
  """

  def read(view, key):
    x = first(view.data.train, examples).x
    features = list(view.problem.model.forward(view.variables, x)[1].features.values())
    states = [at_least_float32(h) for h in features if h.shape == features[-1].shape]
    return {'increment': jnp.stack([_increment(states, gap) for gap in gaps])}

  return stateless(read)


def _increment(states: list[Array], gap: int) -> Array:
  if gap >= len(states):
    return jnp.asarray(jnp.nan, states[0].dtype if states else jnp.float32)
  starts, ends = jnp.stack(states[:-gap]), jnp.stack(states[gap:])
  return jnp.linalg.norm(ends - starts) / jnp.linalg.norm(starts)
