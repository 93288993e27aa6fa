"""The language model: what each position sees, and what is read from its parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import models, network
from dynamics.leaves import weights

TOKENS = jnp.asarray([[0, 5, 2, 1], [3, 3, 4, 0]], jnp.int32)


def test_each_position_answers_and_sees_itself_and_those_before_it():
  module = models.decoder(5, None, layers=2, width=8, heads=2, expansion=2)
  x = jax.random.normal(jax.random.key(1), (1, 4, 3))
  variables = jax.jit(module.init)(jax.random.key(0), x)
  jacobian = jax.jit(jax.jacobian(lambda x: module.apply(variables, x)[0]))(x)[:, :, 0]  # (l out, k, l in, d)
  reach = np.abs(jacobian).max(axis=(1, 3)) > 0
  np.testing.assert_array_equal(reach, np.tril(np.ones((4, 4), bool)))


def test_its_last_position_is_the_causal_transformer_that_reads_there():
  choices = dict(layers=2, width=8, heads=2, expansion=2, activation='gelu')
  every = models.decoder(5, 6, **choices)
  last = models.transformer(5, 6, norm='pre', causal=True, **choices)
  variables = jax.jit(every.init)(jax.random.key(0), TOKENS)
  out = jax.jit(lambda v: (every.apply(v, TOKENS), last.apply(v, TOKENS)))(variables)
  assert out[0].shape == (2, 4, 5)
  np.testing.assert_allclose(out[0][:, -1], out[1], atol=1e-5)


def test_roles_and_fans_are_read_and_hidden_activations_shown():
  model = network.from_flax(models.decoder(7, 6, layers=1, width=8, heads=2, expansion=3), TOKENS)
  shown = {leaf.name: (leaf.role, leaf.fan_in, leaf.fan_out) for leaf in weights(model.leaves())}
  attention = {f'hidden_0_attention/{name}/kernel': ('hidden', 8, 8) for name in ('query', 'key', 'value', 'merge')}
  assert shown == {
    'input/embedding': ('input', 1, 8), 'position_embedding': ('input', 1, 8), **attention,
    'hidden_0_up/kernel': ('hidden', 8, 24), 'hidden_0_down/kernel': ('hidden', 24, 8), 'readout/kernel': ('output', 8, 7),
  }  # fmt: skip
  variables = jax.eval_shape(model.init, jax.random.key(0), None)
  outputs, trace = jax.eval_shape(model.forward, variables, TOKENS)
  assert outputs.shape == (2, 4, 7)
  assert {name: h.shape for name, h in trace.features.items()} == {'after_hidden_0': (2, 4, 8)}


def test_heads_must_divide_the_width():
  with pytest.raises(ValueError, match='width is 8, which 3 heads do not divide'):
    models.decoder(2, width=8, heads=3)
