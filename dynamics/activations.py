"""Activation functions by name."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from dynamics.types import Array

Activation = Literal['relu', 'tanh', 'gelu', 'silu', 'softplus', 'sigmoid', 'erf', 'abs', 'identity', 'selu', 'sine', 'gaussian']
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
  'relu': jax.nn.relu,
  'tanh': jnp.tanh,
  'gelu': jax.nn.gelu,
  'silu': jax.nn.silu,
  'softplus': jax.nn.softplus,
  'sigmoid': jax.nn.sigmoid,
  'erf': jax.lax.erf,
  'abs': jnp.abs,
  'identity': lambda x: x,
  'selu': jax.nn.selu,
  'sine': jnp.sin,
  'gaussian': lambda x: jnp.exp(-jnp.square(x) / 2),
}
