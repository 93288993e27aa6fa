"""Which arguments of an optax factory may be traced, so that members of one program differ in them."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dynamics.optim.arguments import accepted, offered

SHAPES = {'matrix': (4, 3), 'vector': (3,)}  # of the parameters that it is tried on


@functools.cache
def traceable(factory: Callable[..., optax.GradientTransformation], name: str, required: tuple[tuple[str, Any], ...]) -> bool:
  """Whether a factory and one step of its optimizer can be traced with the argument `name` unknown.

  Args:
    factory: such as `optax.adamw`.
    name: of an argument that takes a number.
    required: values of the arguments without a default.
  """

  def step(value):
    transformation = optax.with_extra_args_support(factory(**{**dict(required), name: value}))
    params = {leaf: jnp.ones(shape, jnp.float32) for leaf, shape in SHAPES.items()}
    takes = accepted(transformation.update)
    loss = lambda params: (sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params)), ())
    value, grads = loss(params)[0], params
    return transformation.update(grads, transformation.init(params), params, **takes(offered(loss, value, grads, lambda x: x)))

  try:
    with jax.numpy_dtype_promotion('standard'):
      jax.eval_shape(step, jax.ShapeDtypeStruct((), jnp.float32))
  except Exception:  # whatever a factory does with a number that it cannot look at
    return False
  return True
