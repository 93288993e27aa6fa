"""The loop: one step by hand, and what must not change a bit of the result."""

import re
import time

import chex
import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from dynamics import losses, models, network, parallel, stages, train, trees
from dynamics.study import check_common_data
from dynamics.types import Batch, Data

pytestmark = pytest.mark.usefixtures('optimized')

COMPILED = []
jax.monitoring.register_event_duration_secs_listener(
  lambda event, seconds, **_: COMPILED.append(event) if event.endswith('backend_compile_duration') else None
)


def same(a, b):
  chex.assert_trees_all_equal(a, b)


def close(a, b, rtol=1e-5, atol=1e-6):
  chex.assert_trees_all_close(a, b, rtol=rtol, atol=atol)


def one_device():
  return parallel.mesh(1, devices=jax.devices()[:1])


# ---- a step by hand ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize('layout', ['vmap', 'map'])
def test_pinned_step(cases, layout):
  """Two weights, two examples, every number exact in binary.

  Outputs (0, 1.75), errors (-1, 1.75), gradient ((-1 + 5.25) / 2, (-2 - 1.75) / 2) = (2.125, -1.875), times 0.5.
  If this fails, the meaning of a step has changed: all stored runs are then of another experiment.
  """
  data = Batch(jnp.asarray([[1.0, 2.0], [3.0, -1.0]]), jnp.asarray([[1.0], [0.0]]))
  start = lambda key, leaves, data: {'readout': {'kernel': jnp.asarray([[0.5], [-0.25]])}}
  model = network.initialised(network.from_flax(models.linear(1), data.x), start)
  read = {'kernel': lambda view: view.variables['params']['readout']['kernel'][:, 0]}
  study = cases.study_of(model, Data(data, data), losses.mean_squared_error(), 1, read, (0, 1))
  result = train.run(study, (0, 1), {'lr': (0.5, 0.25)}, layout=layout, grid=one_device())
  np.testing.assert_array_equal(result.arrays['kernel']['step'], [0, 1])
  np.testing.assert_array_equal(result.arrays['kernel'][''][:, 0], [[0.5, -0.25]] * 2)
  np.testing.assert_array_equal(result.arrays['kernel'][''][:, 1], [[-0.5625, 0.6875], [-0.03125, 0.21875]])
  np.testing.assert_array_equal(result.frozen.initial['params']['readout']['kernel'][1], [[0.5], [-0.25]])


# ---- stretches and resuming -------------------------------------------------------------------------------------


def heard(study, members, programs, **choices):
  """Every event, on the host: the next stretch reuses the buffers of the state."""
  return [e._replace(state=jax.device_get(e.state)) for e in train.events(study, members, programs, **choices)]


def rows(events):
  return [(e.step, name, reading) for e in events for name, reading in e.readings.items()]


@pytest.fixture(scope='module')
def long(cases):
  """A study with minibatches, memory and momentum; its members and programs, compiled once for this module."""
  study = cases.study('linear', ('meters', 'performance'), steps=23, times=(0, 2, 9, 23), batch=5)
  return study, train.join(cases.seeds, {'lr': cases.lr}), train.compile_programs(study, one_device())


def test_stretches_change_no_bit(long):
  single, doubling = heard(*long, stretch=0.0), heard(*long, stretch=1e9)
  assert [e.step for e in single] == list(range(24))
  assert len(doubling) < 15
  same(single[-1].state, doubling[-1].state)
  same(rows(single), rows(doubling))


def test_a_run_goes_on_from_any_event_as_if_it_had_never_stopped(long):
  """Parameters, moments, memory and tables, bit for bit; also from numpy, as a checkpoint gives it back."""
  whole = heard(*long, stretch=0.0)
  for e in whole[::4]:
    rest = heard(*long, resume=(e.step, e.state, jax.device_get(e.frozen)), stretch=1e9)
    same(rest[-1].state, whole[-1].state)
    same(rows(rest), [row for row in rows(whole) if row[0] > e.step])


def test_a_table_can_be_read_again_from_the_states_of_its_times(long):
  """`reread` takes the readings of the step from which the run goes on, too, and `until` ends it there: the rows of the run,
  but for a probe whose state was read at that time before."""
  whole = heard(*long, stretch=0.0)
  for e in (whole[0], whole[9]):
    (again,) = heard(*long, resume=(e.step, e.state, e.frozen), reread=True, until=e.step)
    same(again.readings['performance'], e.readings['performance'])


def test_a_finished_run_has_nothing_left_to_do(long):
  final = heard(*long)[-1]
  (event,) = heard(*long, resume=(final.step, final.state, final.frozen))
  assert (event.step, event.readings) == (23, {})
  same(event.state, final.state)


def test_stops_are_heard_at_their_steps(long):
  assert {0, 5, 17} <= {e.step for e in heard(*long, stops=(0, 5, 17), stretch=1e9)}


def test_fresh_examples_of_every_step_are_those_of_its_key_and_resume_to_the_bit(cases):
  """An online task: x ~ N(0, 1) and y = x w*, drawn anew at each step. Least squares by hand, with the same draws."""
  small = cases.case('linear')
  teacher = jnp.asarray([[1.0], [-2.0], [0.5], [3.0]])

  def fresh(key, data, t):
    x = jax.random.normal(jax.random.fold_in(key, t), (5, 4))
    return Batch(x, x @ teacher)

  model = network.from_flax(models.linear(1), small.draws.train.x)
  read = {'w': lambda view: view.variables['params']['readout']['kernel'][:, 0]}
  study = cases.study_of(model, small.draws, small.loss, 9, read, (0, 9), batch=fresh)
  members, programs = train.join((0, 1), {'lr': 0.1}), train.compile_programs(study, one_device())
  whole = heard(study, members, programs, stretch=0.0)
  for e in whole[:9:4]:
    rest = heard(study, members, programs, resume=(e.step, e.state, e.frozen), stretch=1e9)
    same(rest[-1].state, whole[-1].state)
  for m in range(2):
    w = whole[0].readings['w'][m].astype(np.float64)
    for t in range(9):
      x, y = jax.device_get(fresh(trees.named_key(members.keys[m], 'batch'), None, t))
      w = w - 0.1 * x.T @ (x @ w - y[:, 0]) / 5
    np.testing.assert_allclose(whole[-1].readings['w'][m], w, rtol=1e-4, atol=1e-5)
  assert np.abs(whole[-1].readings['w'][0] - whole[-1].readings['w'][1]).max() > 1e-3


def test_a_run_shows_how_far_it_is_unless_it_is_to_be_quiet(cases, capsys, monkeypatch):
  """Slowed down by its probe; two stretches without compilation give a rate."""
  monkeypatch.setattr(train.progress, 'PATIENCE', 0.0)
  monkeypatch.setattr(train.progress, 'LONGEST', 0.0)
  monkeypatch.setattr(train.progress, 'TICK', 0.001)
  study = cases.study('linear', (), steps=2000)
  real = train.events

  def slowly(*arguments, **choices):
    for event in real(*arguments, stops=(1, 500, 1000), **choices):
      yield event
      time.sleep(0.05)

  monkeypatch.setattr(train, 'events', slowly)
  run = lambda **choices: train.run(study, (0, 1), {'lr': 0.05}, grid=one_device(), **choices)
  quiet = run(quiet=True)
  assert capsys.readouterr() == ('', '')
  shown = run()
  out, err = capsys.readouterr()
  assert out == ''
  assert err.startswith('  compiling')
  assert re.search(r'  step 1000/2000  50%  [\d,]+ member-steps/s  \d+ s left', err)
  same(shown.state.variables, quiet.state.variables)


# ---- compilation ------------------------------------------------------------------------------------------------


def test_programs_do_not_depend_on_how_many_members_seeds_and_probe_times_there_are(cases):
  def compiled(m, times):
    study = cases.study('linear', ('meters', 'performance'), steps=max(times), times=times)
    members = train.join(range(m), {'lr': np.linspace(0.01, 0.1, m)})
    before = len(COMPILED)
    heard(study, members, train.compile_programs(study, one_device()), stretch=1e9)
    return len(COMPILED) - before

  compiled(2, (0, 3)), compiled(6, (0, 3))  # the small operations around a run, once for each number of members
  few, many = compiled(2, (0, 3)), compiled(6, tuple(range(0, 40, 3)))
  assert few >= 4, 'the listener hears nothing'
  assert many == few


def test_further_runs_of_the_same_programs_compile_nothing_of_them(long):
  study, _, programs = long
  heard(*long)
  others = train.join((7, 8, 9), {'lr': (0.01, 0.02, 0.01)})
  before = len(COMPILED)
  heard(study, others, programs)
  assert len(COMPILED) - before <= 2  # the way of members and data to the devices, and nothing else


# ---- members ----------------------------------------------------------------------------------------------------


def test_members_on_four_devices_equal_one_device(cases):
  """To the last bit or two: the order of a sum may follow the number of members a device has."""
  study, hyper = cases.study('floats', ('meters',), batch=5), {'lr': (0.02, 0.03, 0.04, 0.05)}
  one, four = (train.run(study, range(4), hyper, grid=grid) for grid in (one_device(), parallel.mesh(4)))
  close(jax.device_get(one.state), jax.device_get(four.state), rtol=2e-6, atol=2e-7)
  pd.testing.assert_frame_equal(one.tables['meters'], four.tables['meters'], rtol=2e-6, atol=1e-6)


def test_members_side_by_side_equal_one_after_the_other(cases):
  study, hyper = cases.study('floats', ('meters',), batch=5), {'lr': cases.lr}
  a, b = (train.run(study, cases.seeds, hyper, layout=layout, grid=one_device()) for layout in ('vmap', 'map'))
  close(jax.device_get(a.state), jax.device_get(b.state))
  pd.testing.assert_frame_equal(a.tables['meters'], b.tables['meters'], rtol=1e-5, atol=1e-6)


def test_a_diverged_member_is_nan_and_its_neighbours_keep_their_bits(cases):
  study = cases.study('linear', ('performance', 'norms'), steps=12, times=(0, 12))
  lost, sane = (train.run(study, (0, 1, 2), {'lr': (0.05, lr, 0.05)}, grid=one_device()) for lr in (1e30, 0.05))
  w, w0 = (r.state.variables['params']['readout']['kernel'] for r in (lost, sane))
  assert not np.isfinite(w[1]).any()
  assert np.isnan(lost.arrays['performance']['train_loss'][1, 1])
  assert lost.arrays['performance']['train_accuracy'][1, 1] == 0
  same(np.asarray(w)[[0, 2]], np.asarray(w0)[[0, 2]])
  for probe in sane.arrays:
    assert lost.arrays[probe].isel(member=[0, 2]).equals(sane.arrays[probe].isel(member=[0, 2]))


def with_draw(study, draw):
  """The study whose data are drawn by `draw`, once for all members."""

  def problem(hyper, source):
    made = study.problem(hyper, source)
    return made._replace(task=made.task._replace(draw=draw))

  return study._replace(problem=problem, own_data=False)


def test_own_data_is_drawn_from_each_member_and_shared_data_from_the_data_seed(cases):
  """A member with its own data is the run in which that data is shared."""
  own = cases.study('linear', (), own_data=True, steps=4)
  grid, members = one_device(), train.join((5, 6), {'lr': 0.05})
  drawn = train.compile_programs(own, grid).data(members)
  assert not np.allclose(drawn.train.x[0], drawn.train.x[1])
  second = cases.case('linear').task.draw(trees.named_key(train.seed_key(6), 'data'))
  close(jax.tree.map(lambda x: x[1], drawn), second)
  shared = with_draw(own, lambda key: jax.tree.map(lambda x: x[1], drawn))
  a, b = (train.run(s, (5, 6), {'lr': 0.05}, grid=grid).state.variables for s in (own, shared))
  close(jax.tree.map(lambda x: x[1], a), jax.tree.map(lambda x: x[1], b))
  by_seed = [train.compile_programs(own._replace(own_data=False, data_seed=s), grid).data(members) for s in (6, 7)]
  close(by_seed[0], second)
  assert not np.allclose(by_seed[0].train.x, by_seed[1].train.x)


def test_join_spreads_single_values_and_refuses_others():
  members = train.join((3, 4), {'lr': 0.5, 'decay': (1, 2)})
  assert {name: v.tolist() for name, v in members.hyper.items()} == {'lr': [0.5, 0.5], 'decay': [1.0, 2.0]}
  assert {str(v.dtype) for v in members.hyper.values()} == {'float32'}
  same(jax.random.key_data(members.keys), np.stack([jax.random.key_data(train.seed_key(s)) for s in (3, 4)]))
  with pytest.raises(ValueError, match=r'one a seed, \(2,\): lr has \(3,\)'):
    train.join((3, 4), {'lr': (1, 2, 3)})


def test_the_result_does_not_depend_on_where_a_member_stands(cases):
  """Seed 2 alone among others, or at another place: the same numbers to rounding."""
  study = cases.study('linear', ('performance',), batch=5)
  a = train.run(study, (0, 1, 2), {'lr': 0.05}, grid=one_device())
  b = train.run(study, (2, 7), {'lr': 0.05}, grid=one_device())
  last = lambda result, i: jax.tree.map(lambda x: x[i], result.state.variables)
  close(last(a, 2), last(b, 0))


def test_common_data_that_depend_on_a_hyper_value_in_which_members_differ_are_refused(cases):
  study, members = cases.study('linear', (), own_data=True, steps=1), train.join((0, 1), {'lr': (0.1, 0.2), 'noise': (0.0, 1.0)})
  draws = cases.case('linear').draws
  noisy = lambda hyper: lambda key: draws._replace(train=draws.train._replace(y=draws.train.y * hyper['noise']))

  def problem(hyper, source):
    made = study.problem(hyper, source)
    return made._replace(task=made.task._replace(draw=noisy(hyper)))

  common = study._replace(problem=problem, own_data=False)
  with pytest.raises(ValueError, match=r'data depend on hyper.noise, in which members differ: set own_data=True'):
    check_common_data(common, members.hyper)
  check_common_data(common._replace(own_data=True), members.hyper)
  check_common_data(common, {**members.hyper, 'noise': jnp.ones(2)})
  check_common_data(study._replace(own_data=False), members.hyper)


@pytest.mark.parametrize('field', ['schedule', 'interventions'])
def test_a_schedule_that_names_nothing_of_the_problem_is_refused(cases, field):
  study = cases.study('linear', ('performance',), steps=1)._replace(**{field: {'performence': (0,)}})
  member = jax.tree.map(lambda x: x[0], train.join((0,), {'lr': 0.1}))
  with pytest.raises(ValueError, match=f"study.{field} names 'performence'; there are"):
    jax.eval_shape(stages.start(study), member, cases.case('linear').draws)
