"""The block `init`: a law's own choices are there with that law alone, and starts that look at the data do so."""

import jax
import numpy as np
import pytest

from dynamics import inits, parallel, plan, train
from dynamics.schema import ConfigError
from experiments import starts, supervised

OWN = {
  'low_rank': {'rank': 2, 'on': '*', 'others': 'gaussian', 'directions': 'random'},
  'power_law': {'exponent': 1.0, 'on': '*', 'others': 'gaussian'},
  'dale': {'excitatory': 0.8, 'on': '*', 'others': 'gaussian'},
  'block': {'blocks': 2, 'on': '*', 'others': 'gaussian'},
}
NEEDED = {'low_rank': {'rank': 2}, 'power_law': {'exponent': 1.0}, 'block': {'blocks': 2}}


@pytest.mark.parametrize('law', [*starts.LAWS, *starts.STRUCTURED, *starts.JOINT])
def test_a_laws_choices_are_there_with_that_law_alone(law):
  block = starts.resolve_init({'law': law, **NEEDED.get(law, {})})
  assert block == {'law': law, 'rule': 'standard', **OWN.get(law, {})}
  init, look = starts.make(block, 3)
  assert callable(init)
  assert (look is not None) == (law == 'aligned')


@pytest.mark.parametrize(
  ('block', 'sentence'),
  [
    (dict(law='low_rank'), 'init.rank is missing'),
    (dict(law='low_rank', rank=0), 'init.rank is 0; it must be at least 1.'),
    (dict(law='low_rnk'), "init.law is 'low_rnk'; did you mean 'low_rank'?"),
    (dict(rank=3), "init.rank is a choice of low_rank, but init.law is 'gaussian': leave it out."),
    (dict(law='dale', directions='task'), "init.directions is a choice of low_rank, but init.law is 'dale'"),
    (dict(law='balanced', on='*'), "init.on is a choice of low_rank, power_law, dale, block, but init.law is 'balanced'"),
    (dict(law='low_rank', rank=2, direction='task'), "init.direction is no field of init; did you mean 'directions'?"),
    (dict(law='low_rank', rank=2, directions='labels'), "init.directions is 'labels'; it must be one of: random, task, inputs"),
    (dict(law='aligned', rule='ntk'), "init.rule is 'ntk', but init.law 'aligned' sets the scale of all layers itself"),
    (dict(law='dale', excitatory=1.0), 'init.excitatory is 1.0; it must be above 0 and below 1.'),
  ],
)
def test_choices_that_a_law_does_not_have_are_told(block, sentence):
  with pytest.raises(ConfigError) as caught:
    starts.resolve_init(block)
  assert sentence in str(caught.value)


def config_of(init, **changes):
  return {
    'data': dict(name='two_alternative', stimulus=3, train=20, test=8),
    'model': dict(name='rnn', width=8, leak=0.8),
    'loss': dict(name='cross_entropy'),
    'optimizer': dict(name='sgd'),
    'hyper': dict(lr=0.1),
    'init': init,
    'steps': 2,
    'own_data': True,
    'seeds': (0, 1),
    'probes': dict(performance=dict()),
    **changes,
  }


def cell_of(*args, **kwargs):
  return plan.cells(config_of(*args, **kwargs), supervised.resolve_config)[0]


LINEAR = dict(
  data=dict(name='linear_map', singular=(2.0, 1.0), inputs=6, outputs=3),
  model=dict(name='linear', widths=(5,)),
  loss=dict(name='mean_squared_error'),
)
IMAGES = dict(data=dict(name='images', train=40, test=10), model=dict(name='mlp', widths=(9,)))


@pytest.mark.parametrize(
  ('init', 'changes', 'words'),
  [
    (dict(law='low_rank', rank=3), {}, 'rank is 3, but readout/kernel is 8 x 2: take 2 at most.'),
    (dict(law='low_rank', rank=3, on='hidden*'), {}, "no weight matches 'hidden*'; they are input/kernel, recurrent/kernel"),
    (dict(law='low_rank', rank=2, on='recurrent/*', directions='task'), {}, 'a leaf that reads the inputs.'),
    (dict(law='balanced'), dict(model=dict(name='transformer', width=8)), 'a balanced start needs a chain of matrices'),
    (dict(law='low_rank', rank=1, directions='task', on='input/*'),
     dict(data=dict(name='modular', p=5), model=dict(name='mlp')), 'these inputs are tokens.'),
    ({}, dict(data=dict(name='perceptron', train=20, test=5), loss=dict(name='hinge')), 'an rnn reads sequences'),
    ({}, dict(data=dict(name='perceptron', train=20, test=5), model=dict(name='linear')), 'take hinge, or two outputs.'),
    ({}, dict(data=dict(name='linear_map', inputs=3)), 'data: singular has 4 values; it must have 1 to 3'),
  ],
)  # fmt: skip
def test_a_start_that_does_not_fit_the_model_or_the_data_is_told(init, changes, words):
  with pytest.raises(ConfigError) as caught:
    supervised.check_cell(cell_of(init, **changes))
  assert words in str(caught.value)


def first(cell):
  """Data and first weights, as the run has them."""
  members, programs = train.join(cell.seeds, cell.hyper), train.compile_programs(supervised.build(cell.config), parallel.mesh(1))
  data = programs.data(members)
  return jax.device_get((data, programs.start(members, data).variables['params']))


def test_a_recurrent_kernel_of_low_rank_in_a_whole_run():
  cell = cell_of(dict(law='low_rank', rank=2, on='recurrent/*'))
  supervised.check_cell(cell)
  result = train.run(supervised.build(cell.config), cell.seeds, cell.hyper)
  ranks = [np.linalg.matrix_rank(w, tol=1e-4) for w in np.asarray(result.state.anchor['params']['recurrent']['kernel'])]
  assert ranks == [2, 2]
  assert np.isfinite(result.tables['performance']['train_loss']).all()


@pytest.mark.parametrize('own', [True, False])
def test_an_aligned_start_looks_at_the_data_of_its_own_member(own):
  cell = cell_of(dict(law='aligned'), **LINEAR, own_data=own, hyper=dict(lr=0.1, init_scale=0.25))
  data, params = first(cell)
  for i in range(2):
    x, y = (np.asarray(v[i] if own else v) for v in data.train)
    u, _, vt = np.linalg.svd(y.T @ x / 6)
    product = (params['input']['kernel'][i] @ params['readout']['kernel'][i]).T
    inside = u.T @ product @ vt.T
    np.testing.assert_allclose(inside[:2, :2], 0.25 * np.eye(2), atol=1e-5)
    np.testing.assert_allclose(np.linalg.svd(product, compute_uv=False), 0.25, atol=1e-5)


def test_directions_of_the_task_and_of_the_inputs():
  for directions in ('task', 'inputs'):
    cell = cell_of(dict(law='low_rank', rank=3, on='input/*', directions=directions), **IMAGES, seeds=(0,))
    data, params = first(cell)
    w = params['input']['kernel'][0]
    x, y = np.asarray(data.train.x[0]), np.eye(10)[np.asarray(data.train.y[0])]
    matrix = y.T @ x if directions == 'task' else x - x.mean(0)
    axes = np.linalg.svd(matrix)[2][:3]
    np.testing.assert_allclose(axes.T @ axes @ w, w, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(w), 9**0.5, rtol=1e-5)  # std 1/sqrt(64), 64 x 9 entries


def test_the_package_and_the_config_have_the_same_laws():
  assert {*starts.LAWS, *starts.STRUCTURED, *starts.JOINT} <= set(inits.__all__)
