"""Members that stand still from a level of the training loss on."""

import jax
import numpy as np

from dynamics import losses, models, network, optim, probes, stopping, train
from dynamics.types import Batch, Data

rng = np.random.default_rng(11)
X, Y = rng.normal(2, 3, (12, 4)).astype(np.float32), rng.integers(0, 3, 12).astype(np.int32)
DATA = Data(Batch(jax.numpy.asarray(X), jax.numpy.asarray(Y)), Batch(jax.numpy.asarray(X + 1), jax.numpy.asarray(Y)))
LOSS = losses.cross_entropy()


def study_of(cases, steps, read=None, times=(), momentum=True):
  model = network.from_flax(models.mlp(3, widths=(5,)), X)
  optimizer = lambda hyper: (optim.momentum if momentum else optim.sgd)(lr=hyper['lr'])
  return cases.study_of(model, DATA, LOSS, steps, read, times, optimizer=optimizer)


def stopping_at_level(study):
  stop = lambda hyper: stopping.at_loss(stop_loss=hyper['stop_loss'])
  return study._replace(problem=lambda hyper, source: study.problem(hyper, source)._replace(stop=stop(hyper)))


def test_a_member_stops_at_its_loss_level_and_stays_there_to_the_bit(cases):
  """Against the readings of a run without levels: the first step whose loss is low enough, and the weights before it."""
  mean = lambda view: view.problem.objective(view.variables, view.data.train, jax.random.key(0))[0]
  read = {'loss': mean, 'clock': probes.clock(), 'meters': probes.meters()}
  study = study_of(cases, 30, read, range(31))
  free = train.run(study, (0, 1), {'lr': 0.05})
  curve = free.arrays['loss'][''].values.T
  assert (free.arrays['clock']['stopped'] == np.inf).all()
  assert free.state.stopped == ()
  levels = (float(curve[12, 0]) * 1.0001, float(curve[5, 1]) * 1.0001)
  first = [int(np.flatnonzero(curve[:, m] <= levels[m])[0]) for m in (0, 1)]
  stopped = stopping_at_level(study)
  held = train.run(stopped, (0, 1), {'lr': 0.05, 'stop_loss': levels})
  for m in (0, 1):
    np.testing.assert_allclose(held.arrays['loss'][''][m, : first[m] + 1], curve[: first[m] + 1, m], rtol=1e-5)
    assert len(set(held.arrays['loss'][''].values[m, first[m] :])) == 1
    assert np.isnan(held.arrays['meters']['loss/last'][m, -1])  # no step since the last reading
  assert held.arrays['clock']['stopped'][:, -1].values.tolist() == held.state.stopped.tolist() == first
  never = train.run(stopped, (0, 1), {'lr': 0.05, 'stop_loss': 0.0})
  assert (never.arrays['clock']['stopped'] == np.inf).all()
  assert never.state.stopped.tolist() == [-1, -1]


def test_a_run_whose_members_have_all_stopped_takes_no_further_step(cases):
  study = stopping_at_level(study_of(cases, 10**9, momentum=False))
  assert train.run(study, (0, 1), {'lr': 0.05, 'stop_loss': 100.0}).state.stopped.tolist() == [0, 0]
