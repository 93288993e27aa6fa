"""Hidden values and gradients there against flax's own record of what its layers put out."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import models, network
from dynamics.linalg.hidden import hidden
from dynamics.types import Model, Trace

TOKENS, PIXELS = jnp.array([[1, 4, 2], [0, 3, 3]]), jax.random.normal(jax.random.key(1), (2, 6, 6, 2))
CASES = {
  'transformer': (models.transformer(5, 5, width=8, heads=2, expansion=2), TOKENS),
  'residual': (models.residual(3, None, width=4, depth=2), PIXELS),
  'rnn': (models.rnn(5, 5, width=4), TOKENS),
}


def put_out(module, variables, x, shifts):
  """(outputs, {'layer/kernel': what the layer puts out}) with shifts added to it."""
  values = {}

  def shifted(call, args, kwargs, context):
    outputs = call(*args, **kwargs)
    if context.method_name == '__call__' and isinstance(context.module, nn.Dense | nn.Conv):
      name = '/'.join((*context.module.path, 'kernel'))
      outputs = values[name] = outputs + shifts.get(name, 0)
    return outputs

  with nn.intercept_methods(shifted):
    outputs = module.apply({'params': variables['params']}, x)
  return outputs, values


@pytest.mark.parametrize('case', CASES)
def test_values_and_gradients_are_those_of_the_layers(case):
  module, x = CASES[case]
  model = network.from_flax(module, x)
  variables = network.begun(model.init(jax.random.key(0), None))
  seen, example = hidden(model, variables, x), jax.tree.map(lambda a: a[:1], x)
  outputs, values = put_out(module, variables, example, {})
  names = [name for kind, name in seen.places if kind == 'preactivation']
  assert names == list(values)
  weight = jax.random.normal(jax.random.key(2), outputs.shape)

  def by_flax(shifts):
    return jnp.sum(put_out(module, variables, example, shifts)[0] * weight)

  def by_jaxpr(shifts):
    outputs, values = seen.forward(variables, jax.tree.map(lambda a: a[0], x), shifts)
    return jnp.sum(outputs * weight), values

  theirs = jax.jit(jax.grad(by_flax))(jax.tree.map(jnp.zeros_like, values))
  zeros = {name: jnp.zeros(place.output.shape, place.output.dtype) for name, place in seen.places.items()}
  ours, hidden_values = jax.jit(jax.grad(by_jaxpr, has_aux=True))(zeros)
  close = lambda a, b: np.testing.assert_allclose(a, b.reshape(a.shape), rtol=1e-4, atol=1e-5)
  for name in names:
    close(hidden_values['preactivation', name], values[name])
    close(seen.places['preactivation', name].rows(ours['preactivation', name]), theirs[name])
  assert all(place.reaches for place in seen.places.values())
  if case == 'residual':  # what a block adds to the stream and the stream have one gradient
    close(ours['activation', 'after_block_0'], theirs['block_0/layer_0/kernel'])


def test_every_layout_of_a_product_and_a_weight_that_is_used_twice():
  """Outputs with shifts, and values, against the function written out; a copy, and what is no float, are told apart."""
  draw = lambda i, *shape: jax.random.normal(jax.random.key(i), shape)
  params = {'w': draw(0, 3, 3), 'experts': draw(1, 2, 3, 4), 'b': draw(2, 3), 'g': draw(3, 3)}

  def forward(p, x, left, again, experts):
    a = (p['g'][:, None] * p['w']) @ x.T + p['b'][:, None] + left  # columns are examples
    h = jnp.tanh(a).T
    c = jax.jit(lambda h: h @ p['w'])(h) - p['b'][None] + again
    groups = jnp.stack([c, jnp.sin(c)], axis=1)
    e = jnp.einsum('ngd,gdf->ngf', groups, p['experts']) + experts
    return jnp.sum(e, axis=1), a, h, c, e

  def shown(variables, x, **mode):
    zeros = jnp.zeros((3, 1)), jnp.zeros((1, 3)), jnp.zeros((1, 2, 4))
    outputs, _, h, *_ = forward(variables['params'], x, *zeros)
    return outputs, Trace({}, {'h': h, 'copy': h + 1, 'on': (h > 0).astype(jnp.int32)})

  variables, x = {'params': params}, draw(4, 5, 3)
  seen = hidden(Model(None, shown, None), variables, x)
  names = ['w', 'w@2', 'experts']
  assert [name for kind, name in seen.places if kind == 'preactivation'] == names
  reaches = {name: place.reaches for (kind, name), place in seen.places.items() if kind == 'activation'}
  assert reaches == {'h': True, 'copy': False}
  shifts = {name: draw(9, *place.output.shape) for name, place in seen.places.items() if name[0] == 'preactivation'}
  outputs, values = seen.forward(variables, x[0], shifts)
  rows = {name: seen.places['preactivation', name].rows(shifts['preactivation', name]) for name in names}
  experts = rows['experts'].reshape(1, 2, 4)
  expected, a, _, c, e = forward(params, x[:1], rows['w'].T, rows['w@2'], experts)
  close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
  close(outputs, expected)
  for name, z in {'w': a.T, 'w@2': c, 'experts': e.reshape(1, 8)}.items():
    close(values['preactivation', name], z)
