"""Views of small networks for single probes, and short studies for the laws that all of them obey."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from dynamics import data, inits, losses, models, network, objectives, optim, probes
from dynamics.data.sampling import sampler
from dynamics.inits.leaves import describe
from dynamics.study import Study
from dynamics.types import Batch, Data, Model, Optimizer, Problem, Task, Trace, View

# ---- one view ---------------------------------------------------------------------------------------------------


def model(apply: Callable) -> Model:
  """Of a plain function (variables, x) -> outputs, or -> (outputs, features)."""

  def forward(variables, x, **mode):
    outputs = apply(variables, x)
    outputs, features = outputs if isinstance(outputs, tuple) else (outputs, {})
    return outputs, Trace({}, features)

  return Model(None, forward, None)


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
  network_ = apply if isinstance(apply, Model) else model(apply)
  network_ = network_._replace(leaves=lambda: describe(params), rates=rates)
  examples = Batch(jnp.zeros((1, 1)), jnp.zeros(1, jnp.int32)) if examples is None else examples
  variables, start = ({'params': p, 'initial': initial, 'frozen': {}} for p in (params, params if initial is None else initial))
  seen = View(
    step=jnp.int32(step),
    variables=variables,
    initial=start,
    opt_state=(),
    stopped=(),
    learning_rate=None,
    data=Data(examples, examples if test is None else test),
    problem=Problem(None, network_, loss, None, optimizer or Optimizer(None, None, normalised=False), None),
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


# ---- short studies ----------------------------------------------------------------------------------------------


class Case(NamedTuple):
  task: Task
  data: Data  # of key 0
  model: Model
  loss: losses.Loss


@functools.cache
def case(name: str) -> Case:
  bits, modular = data.parity(bits=2, noise_bits=1, train=8, test=6), data.modular(p=3, train_fraction=0.7)
  values = data.teacher(inputs=3, train=8, test=6)
  sensed = data.matrix_sensing(rows=4, columns=3, symmetric=False, train=20, singular=(2.0, 1.0))
  task, loss, maker, fields = {
    'linear': (values, losses.mean_squared_error(), models.linear, dict(widths=(2,))),
    'floats': (bits, losses.cross_entropy(), models.mlp, dict(widths=(4, 3), activation='tanh')),
    'tokens': (modular, losses.cross_entropy(), models.mlp, dict(widths=(4,), bias=False)),
    'transformer': (modular, losses.cross_entropy(), models.transformer, dict(width=4, heads=2, expansion=1, norm='none')),
    'matrix': (sensed, losses.mean_absolute_error(), models.factorisation, dict(width=3, symmetric=False)),
  }[name]
  draws = jax.jit(task.draw)(jax.random.key(0))
  module = maker(task.outputs, task.vocabulary, **fields)
  return Case(task, draws, network.initialised(network.from_flax(module, draws.train.x), inits.uniform()), loss)


def study(name: str, on: tuple[str, ...], steps: int = 6, times: tuple[int, ...] = (0, 1, 3, 6), **fields) -> Study:
  """A short study of a case with the probes `on`, or under other names with those given as fields; momentum, full batches."""
  chosen, made = case(name), {probe: getattr(probes, probe)() for probe in on}
  task = chosen.task._replace(draw=lambda key: chosen.data)  # constants compile at once
  objective = objectives.supervised()(chosen.model, chosen.loss, None)

  def problem(hyper, source):
    optimizer = optim.chain(optim.momentum(lr=hyper['lr']))
    return Problem(task, chosen.model, chosen.loss, objective, optimizer, sampler(), probes=made)._replace(**fields)

  return Study(problem, steps, {probe: tuple(t for t in times if t <= steps) for probe in on})


class Probing(NamedTuple):
  """What the tests share, as one fixture, because test modules do not import each other."""

  view: Callable = staticmethod(view)
  model: Callable = staticmethod(model)
  read: Callable = staticmethod(read)
  reader: Callable = staticmethod(reader)
  case: Callable = staticmethod(case)
  study: Callable = staticmethod(study)


@pytest.fixture(scope='session')
def probing() -> Probing:
  return Probing()
