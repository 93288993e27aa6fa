"""SGD at a rate read off the batch's Hessian."""

import optax

from dynamics.components import component
from dynamics.optim.chain import from_optax
from dynamics.optim.edge import edge
from dynamics.schema import Range, Traced


@component()
def on_the_fly(
  *,
  every: Range(int, least=1) = 10,
  lanczos: Range(int, least=1) = 10,
  hold: Range(float, least=0.0, most=1.0) = 0.9,
  lr: Traced(above=0.0),
  weight_decay: Traced(least=0.0) = 0.0,
):
  """SGD with step size lr 2 / lambda_max of the batch Hessian. lr is dimensionless; 1 is the edge of stability.

  The multipliers of a parametrization are applied afterwards and do not enter lambda. Instruments see no learning rate.
  Fields are those of `edge`. Source: 2006.09092.
  """
  steep = edge(every=every, lanczos=lanczos, hold=hold, ridge=weight_decay)
  parts = [optax.add_decayed_weights(weight_decay), steep, optax.scale_by_learning_rate(lr)]
  return from_optax(optax.chain(*parts), normalised=False)
