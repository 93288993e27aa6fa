"""Views of small networks, for probes by themselves."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from dynamics import trees
from dynamics.leaves import Leaf
from dynamics.types import Batch, Data, Model, Optimizer, Problem, Trace, Tree, View


def model(apply: Callable) -> Model:
  """Of a plain function (variables, x) -> outputs, or -> (outputs, features). Its layers are given to `view`."""

  def forward(variables, x, **mode):
    outputs = apply(variables, x)
    outputs, features = outputs if isinstance(outputs, tuple) else (outputs, {})
    return outputs, Trace({}, features)

  return Model(None, forward, None)


def chain(params: Tree) -> Tree:
  """Leaves of which each is a layer after the one before, in the order of the tree."""
  names = list(trees.by_path(params))
  leaf = lambda name, w: Leaf(name, w.shape, w.dtype, w.size // w.shape[-1], w.shape[-1], 'hidden', depth=names.index(name))
  return jax.tree.unflatten(jax.tree.structure(params), [leaf(*item) for item in trees.by_path(params).items()])


def view(
  apply: Callable | Model,
  params,
  examples: Batch | None = None,
  *,
  loss=None,
  test: Batch | None = None,
  initial=None,
  rates=None,
  optimizer: Optimizer | None = None,
  step: int = 0,
  **fields,
) -> View:
  """What a probe sees of a network with these params; `initial` are those of step 0, by default the same."""
  network = apply if isinstance(apply, Model) else model(apply)._replace(leaves=lambda: chain(params))
  examples = Batch(jnp.zeros((1, 1)), jnp.zeros(1, jnp.int32)) if examples is None else examples
  initial = params if initial is None else initial
  variables, start = ({'params': p, 'initial': initial, 'frozen': {}} for p in (params, initial))
  seen = View(
    step=jnp.int32(step),
    variables=variables,
    initial=start,
    opt_state=(),
    stopped=(),
    learning_rate=None,
    data=Data(examples, examples if test is None else test),
    problem=Problem(None, network._replace(rates=rates), loss, None, optimizer or Optimizer(None, None, normalised=False), None),
  )
  return seen._replace(**fields)


def reader(probe, problem: Problem) -> Callable:
  """(view, state, key) -> (reading, state), compiled once for all views of one problem."""
  compiled = jax.jit(lambda arrays, state, key: probe.measure(arrays._replace(problem=problem), state, key))
  return lambda view, state, key=0: compiled(view._replace(problem=None), state, jax.random.key(key))


def read(probe, *views: View, key: int = 0) -> list:
  """The readings of successive views, on the host; the probe's state starts at the first of them."""
  measure, state, readings = reader(probe, views[0].problem), probe.init(views[0]), []
  for seen in views:
    reading, state = measure(seen, state, key)
    readings.append(jax.device_get(reading))
  return readings


class Probing(NamedTuple):
  """What the tests share, as one fixture, because test modules do not import each other."""

  view: Callable = staticmethod(view)
  model: Callable = staticmethod(model)
  read: Callable = staticmethod(read)
  reader: Callable = staticmethod(reader)


@pytest.fixture(scope='session')
def probing() -> Probing:
  return Probing()
