"""Changes of the state at the times of a schedule: when they run, on whom, and that a run resumes around them."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import optim, parallel, stopping, train
from dynamics.types import Intervention

TIMES = (0, 2, 4, 6)
CHANGES = (0, 3, 4)


def shifted(hyper):
  """Adds 1 and a random number to every weight, and sets the momentum to zero."""

  def apply(view, key):
    shift = 1.0 + hyper['noise'] * jax.random.normal(key, ())
    params = jax.tree.map(lambda w: w + shift, view.variables['params'])
    return {**view.variables, 'params': params}, jax.tree.map(jnp.zeros_like, view.opt_state)

  return Intervention(apply)


def one_device():
  return parallel.mesh(1, devices=jax.devices()[:1])


def study_of(cases, changes=CHANGES, **more):
  small = cases.case('linear')
  read = {'weight': lambda view: view.variables['params']['readout']['kernel'][0, 0]}
  momentum = lambda hyper: optim.momentum(lr=hyper['lr'])
  interventions = {'shifted': (shifted, changes)} if changes else {}
  return cases.study_of(
    small.model, small.draws, small.loss, 6, read, TIMES, optimizer=momentum, interventions=interventions, **more
  )


@pytest.fixture(scope='module')
def run(cases):
  """study, members, programs, and every event of the run on the host."""
  study, members = study_of(cases), train.join((0, 1), {'lr': (0.03, 0.05), 'noise': (0.0, 1.0)})
  programs = train.compile_programs(study, one_device())
  events = train.events(study, members, programs, stretch=0.0)
  return study, members, programs, [e._replace(state=jax.device_get(e.state)) for e in events]


def weight(state):
  return np.asarray(state.variables['params']['readout']['kernel'])[:, 0, 0]


def test_an_intervention_runs_after_the_steps_of_its_time_and_before_the_readings(cases, run):
  """Against the same programs put together by hand."""
  _, members, programs, events = run
  data = programs.data(members)
  state, frozen = programs.start(members, data)
  seen = {}
  for t in range(7):
    state = programs.advance(state, frozen, members, data, t - 1, t) if t else state
    before = weight(jax.device_get(state))
    if t in CHANGES:
      state = programs.intervene['shifted'](state, frozen, members, data, t)
      np.testing.assert_allclose(weight(jax.device_get(state))[0], before[0] + 1, rtol=1e-6)  # the member without noise
      assert abs(weight(jax.device_get(state))[1] - before[1] - 1) > 1e-3
      assert not any(np.any(leaf) for leaf in jax.tree.leaves(jax.device_get(state.opt_state)) if leaf.ndim > 1)
    if t in TIMES:
      seen[t] = weight(jax.device_get(state))
  readings = {e.step: e.readings['weight'] for e in events if e.readings}
  assert set(readings) == set(TIMES)
  for t in TIMES:
    np.testing.assert_array_equal(readings[t], seen[t])


def test_a_run_resumes_around_interventions_to_the_bit(run):
  """From an event at a time of change the change has been made, and is not made again."""
  study, members, programs, events = run
  for event in events:
    *_, last = train.events(study, members, programs, resume=(event.step, event.state, event.frozen))
    chex.assert_trees_all_equal(jax.device_get(last.state), events[-1].state)


def test_keys_differ_between_times(run):
  """The noisy member is shifted by another number each time."""
  _, members, programs, events = run
  data, last = programs.data(members), events[-1]
  at = lambda t: weight(jax.device_get(programs.intervene['shifted'](last.state, last.frozen, members, data, t)))[1]
  assert at(3) != at(4)
  assert at(3) == at(3)


def test_members_side_by_side_equal_one_after_the_other(cases, run):
  study, _, _, events = run
  done = train.run(study, (0, 1), {'lr': (0.03, 0.05), 'noise': (0.0, 1.0)}, layout='map', grid=one_device())
  close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
  jax.tree.map(close, jax.device_get(done.state), events[-1].state)


def test_a_member_that_stands_still_is_left_alone(cases):
  """The first member stops at once, the second never."""
  study = study_of(cases, changes=(2, 6))

  def problem(hyper, source):
    return study.problem(hyper, source)._replace(stop=stopping.at_loss(stop_loss=hyper['stop_loss']))

  done = train.run(
    study._replace(problem=problem), (0, 1), {'lr': 0.03, 'noise': 0.0, 'stop_loss': (1e6, 0.0)}, grid=one_device()
  )
  curve = done.arrays['weight'][''].values.T
  assert (curve[:, 0] == curve[0, 0]).all()
  assert abs(curve[1, 1] - curve[0, 1]) > 0.5
  assert done.state.stopped.tolist() == [0, -1]
