"""Small problems shared by the tests of the library: five models, each with data and a loss that suit it."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from dynamics import data, inits, losses, models, network, objectives, optim, parallel, probes, train, types
from dynamics.data.sampling import sampler
from dynamics.study import Study

SEEDS, LR = (0, 1, 2), (0.03, 0.05, 0.08)
TIMES = (0, 1, 3, 6)


class Case(NamedTuple):
  task: types.Task
  loss: types.Loss
  model: types.Model
  draws: types.Data  # of key 0

  def problem(self, optimizer=None, batch: int = 0, **more) -> types.Problem:
    """A supervised problem; `more` are other fields of `Problem`."""
    objective = objectives.supervised()(self.model, self.loss, None)
    optimizer = optimizer or optim.momentum(lr=0.05)
    return types.Problem(self.task, self.model, self.loss, objective, optimizer, sampler(size=batch), **more)

  def begun(self, key=None) -> types.Variables:
    """The model's variables at step 0, as it sees them."""
    return network.begun(self.model.init(jax.random.key(0) if key is None else key, self.draws))


def case(name: str) -> Case:
  """Made once for each way of compiling: the bits of what is drawn depend on it."""
  return _case(name, jax.config.read('jax_disable_most_optimizations'))


@functools.cache
def _case(name: str, plain: bool) -> Case:
  tokens, pixels = data.modular(p=5, train_fraction=0.6), data.parity(bits=2, noise_bits=3, train=12, test=8)
  values = data.teacher(inputs=4, outputs=1, train=12, test=6)
  sensed = data.matrix_sensing(rows=4, columns=3, symmetric=False, train=20, singular=(2.0, 1.0))
  task, loss, make, fields = {
    'tokens': (tokens, losses.cross_entropy(), models.mlp, dict(widths=(8,), bias=False)),
    'linear': (values, losses.mean_squared_error(), models.linear, dict(widths=(3,))),
    'matrix': (sensed, losses.mean_absolute_error(), models.factorisation, dict(width=3, symmetric=False)),
    'floats': (pixels, losses.cross_entropy(), models.mlp, dict(widths=(6, 5), activation='tanh')),
    'transformer': (tokens, losses.cross_entropy(), models.transformer, dict(width=8, heads=2, expansion=2, norm='none')),
  }[name]
  draws = task.draw(jax.random.key(0))
  model = network.from_flax(make(task.outputs, task.vocabulary, **fields), draws.train.x)
  return Case(task, loss, network.initialised(model, inits.uniform()), draws)


MODELS = ('tokens', 'linear', 'matrix', 'floats', 'transformer')
REFUSE_TOKENS = ('modes', 'null_space', 'patches', 'input_spectrum', 'input_jacobian', 'interval_bounds', 'complexity')
MATRICES = ('recovery',)  # on matrix sensing alone
# Tangent kernels and Hessians of a transformer take longer to compile than all else, and are tested by themselves.
CURVATURE = ('batch_curvature', 'dense_spectrum', 'hessian_spectrum', 'sharpness')
SLOW = (*CURVATURE, 'kernel', 'kernel_regression')
PROBES = {
  'tokens': tuple(p for p in probes.__all__ if p not in (*REFUSE_TOKENS, *MATRICES, *CURVATURE)),
  'linear': tuple(p for p in probes.__all__ if p not in MATRICES),
  'matrix': ('performance', 'balance', *MATRICES),
  'floats': tuple(p for p in probes.__all__ if p not in MATRICES),
  'transformer': tuple(p for p in probes.__all__ if p not in (*REFUSE_TOKENS, *MATRICES, *SLOW, 'balance')),
}


def study(name: str, on=None, *, optimizer=None, steps=6, times=TIMES, batch=0, own_data=False, **more) -> Study:
  """A short study of one of `MODELS` with the probes `on`, all read at the same times; `hyper` holds lr.

  Args:
    optimizer: lr -> Optimizer.
    more: other fields of `Problem`.
  """
  small, on = case(name), PROBES[name] if on is None else on
  # Constants compile at once.
  task = small.task if own_data else small.task._replace(draw=lambda key: small.draws)
  instruments = {probe: getattr(probes, probe)() for probe in on}

  def problem(hyper, source):
    chosen = (optimizer or (lambda lr: optim.momentum(lr=lr)))(hyper['lr'])
    return small.problem(chosen, batch, probes=instruments, **more)._replace(task=task)

  schedule = {probe: tuple(t for t in times if t <= steps) for probe in on}
  return Study(problem, steps, schedule, own_data=own_data)


def study_of(model, draws, loss, steps, read=None, times=(), *, optimizer=None, objective=None, batch=0, source=None, **more):
  """A study of any model on `draws`; what is a function of the hyper values is called with them.

  Args:
    model: Model, or hyper -> Model.
    read: name -> probe, or view -> reading; all are read at `times`.
    optimizer: hyper -> Optimizer; SGD at hyper['lr'] by default.
    batch: a size, or (key, data, step) -> Batch.
    objective: hyper -> (model, loss, source) -> objective.
    source: the model of a source run.
    more: other fields of `Problem`; `interventions` are hyper -> Intervention, with their times.
  """
  instruments = {n: r if isinstance(r, types.Probe) else _reader(r) for n, r in (read or {}).items()}
  changes = more.pop('interventions', {})

  def problem(hyper, variables):
    of = model if isinstance(model, types.Model) else model(hyper)
    goal = (objective or (lambda hyper: objectives.supervised()))(hyper)
    return types.Problem(
      model=of,
      loss=loss,
      objective=goal(of, loss, source and types.Source(source, variables)),
      optimizer=(optimizer or (lambda hyper: optim.sgd(lr=hyper['lr'])))(hyper),
      interventions={name: make(hyper) for name, (make, _) in changes.items()},
      probes=instruments,
      **{'task': types.Task(lambda key: draws, outputs=1), 'batch': batch if callable(batch) else sampler(size=batch), **more},
    )

  return Study(problem, steps, dict.fromkeys(instruments, tuple(times)), {name: at for name, (_, at) in changes.items()})


def _reader(function) -> types.Probe:
  return types.stateless(lambda view, key: function(view))


@functools.cache
def trained(name: str, on: tuple[str, ...] | None = None) -> tuple[types.State, types.Frozen]:
  """State and start of three members after six steps: two programs, start and advance."""
  members, programs = train.join(SEEDS, {'lr': LR}), train.compile_programs(study(name, on), parallel.mesh(1))
  draws = case(name).draws
  state, frozen = programs.start(members, draws)
  return jax.device_get((programs.advance(state, frozen, members, draws, 0, 6), frozen))


@functools.cache
def done(name: str, on: tuple[str, ...] | None = None) -> train.Result:
  """The study of a model, run for three members; results on the host."""
  result = train.run(study(name, on), SEEDS, {'lr': LR})
  return result._replace(state=jax.device_get(result.state), frozen=jax.device_get(result.frozen))


def member(name: str, i: int = 1):
  """(state, frozen, member, data, step) of member i after the study: what `stages.measure` takes."""
  members = train.join(SEEDS, {'lr': LR})
  state, frozen = jax.tree.map(lambda x: jnp.asarray(x[i]), trained(name))
  return state, frozen, jax.tree.map(lambda x: x[i], members), case(name).draws, jnp.int32(6)


class Cases(NamedTuple):
  """What the tests share, as one fixture, because test modules do not import each other."""

  case = staticmethod(case)
  study = staticmethod(study)
  study_of = staticmethod(study_of)
  sampler = staticmethod(sampler)
  done = staticmethod(done)
  trained = staticmethod(trained)
  member = staticmethod(member)
  seeds: tuple = SEEDS
  lr: tuple = LR


@pytest.fixture(scope='session')
def cases() -> Cases:
  return Cases()
