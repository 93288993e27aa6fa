"""`Model.weights`: the network inside all transforms, applied to them, is the transformed network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, models, network, transforms
from dynamics.network import begun

X = jax.random.normal(jax.random.key(1), (3, 4))
CHAINS = {
  'none': (),
  'mup': (transforms.mup(base=2),),
  'weight norm': (transforms.weight_norm(direction_scale=0.5),),
  'ntk, then companded': (transforms.ntk(), transforms.weight_compander(bound=2.0)),
  'standardised, then a subspace': (
    transforms.weight_standardization(scale='fan_in'),
    transforms.subspace(most=6, kind='dense', dimension=4.0),
  ),
}


@pytest.mark.parametrize('name', CHAINS)
def test_the_network_inside_sees_them(name):
  plain = network.initialised(network.from_flax(models.mlp(3, widths=(5,), activation='tanh'), X), inits.gaussian())
  model = plain
  for transform in CHAINS[name]:
    model = transform(model)

  @jax.jit
  def both(key):
    variables = begun(model.init(key, None))
    variables = {**variables, 'params': jax.tree.map(lambda w: w + 0.1, variables['params'])}
    inside = model.weights(variables)
    return model.apply(variables, X), plain.apply({'params': inside}, X), jnp.max(jnp.abs(model.apply(variables, X)))

  transformed, inside, size = both(jax.random.key(0))
  assert size > 0.01
  np.testing.assert_allclose(inside, transformed, rtol=1e-5, atol=1e-6)
