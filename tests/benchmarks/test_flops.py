"""Operations counted from shapes, against counts by hand."""

import jax
import jax.numpy as jnp

from benchmarks import __main__, flops, problems


def test_products_are_counted_wherever_they_stand():
  x, w = jnp.zeros((5, 3)), jnp.zeros((3, 4))
  assert flops.of_products(jnp.dot, x, w) == 2 * 5 * 3 * 4
  assert flops.of_products(jax.jit(lambda x, w: jnp.tanh(x @ w).sum()), x, w) == 2 * 5 * 3 * 4
  assert flops.of_products(jax.vmap(lambda x: x @ w), jnp.zeros((7, 5, 3))) == 7 * 2 * 5 * 3 * 4
  assert flops.of_products(jnp.exp, x) == 0


def test_the_step_of_a_dense_network_is_counted():
  """Forward and the gradients of weights in both layers, and the gradient of the hidden layer: 64-32-10, batch 32."""
  layers = 64 * 32 + 32 * 10
  assert problems.step_flops(problems.subject(problems.SMALL, probes=False)) == 2 * 32 * (2 * layers + 32 * 10)


def test_every_benchmark_can_be_named():
  assert {'paper', 'small', 'ensemble', 'large', 'compilation', 'probing', 'curvature'} <= set(__main__.BENCHMARKS)
