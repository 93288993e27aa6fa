"""From a config to a problem: starts that look at the data do so, in a run as in the library."""

import jax
import numpy as np
import pytest

from dynamics import parallel, plan, train
from experiments.build import after_start, build
from experiments.check import check_cell
from experiments.resolve import resolve_config

LINEAR = dict(
  data=dict(name='linear_map', singular=(2.0, 1.0), inputs=6, outputs=3),
  model=dict(name='linear', widths=(5,)),
  loss=dict(name='mean_squared_error'),
)
IMAGES = dict(data=dict(name='images', train=40, test=10), model=dict(name='mlp', widths=(9,)))


def cell_of(init, **changes):
  config = {
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
  return plan.cells(config, resolve_config)[0]


def first(cell):
  """Data and first weights, as the run has them."""
  members, programs = train.join(cell.seeds, cell.hyper), train.compile_programs(build(cell), parallel.mesh(1))
  data = programs.data(members)
  return jax.device_get((data, programs.start(members, data)[0].variables['params']))


def test_a_recurrent_kernel_of_low_rank():
  cell = cell_of(dict(name='low_rank', rank=2, where='recurrent/*'))
  check_cell(cell)
  ranks = [np.linalg.matrix_rank(w, tol=1e-4) for w in first(cell)[1]['recurrent']['kernel']]
  assert ranks == [2, 2]


@pytest.mark.parametrize('own', [True, False])
def test_an_aligned_start_looks_at_the_data_of_its_own_member(own):
  cell = cell_of(dict(name='aligned'), **LINEAR, own_data=own, hyper=dict(lr=0.1, init_scale=0.25))
  data, params = first(cell)
  for i in range(2):
    x, y = (np.asarray(v[i] if own else v) for v in data.train)
    u, _, vt = np.linalg.svd(y.T @ x / 6)
    product = (params['input']['kernel'][i] @ params['readout']['kernel'][i]).T
    inside = u.T @ product @ vt.T
    np.testing.assert_allclose(inside[:2, :2], 0.25 * np.eye(2), atol=1e-5)
    np.testing.assert_allclose(np.linalg.svd(product, compute_uv=False), 0.25, atol=1e-5)


@pytest.mark.parametrize('directions', ['task', 'inputs'])
def test_directions_of_the_task_and_of_the_inputs(directions):
  cell = cell_of(dict(name='low_rank', rank=3, where='input/*', directions=directions), **IMAGES, seeds=(0,))
  data, params = first(cell)
  w = params['input']['kernel'][0]
  x, y = np.asarray(data.train.x[0]), np.eye(10)[np.asarray(data.train.y[0])]
  matrix = y.T @ x if directions == 'task' else x - x.mean(0)
  axes = np.linalg.svd(matrix)[2][:3]
  np.testing.assert_allclose(axes.T @ axes @ w, w, atol=1e-4)
  np.testing.assert_allclose(np.linalg.norm(w), 9**0.5, rtol=1e-5)  # std 1/sqrt(64), 64 x 9 entries


@pytest.mark.parametrize(
  ('init', 'changes', 'words'),
  [
    (dict(name='low_rank', rank=2, where='recurrent/*', directions='task'), {}, 'inputs'),
    (dict(name='low_rank', rank=1, directions='task', where='input/*'),
     dict(data=dict(name='modular', p=5), model=dict(name='mlp')), 'tokens'),
    ({}, dict(data=dict(name='perceptron', train=20, test=5), loss=dict(name='hinge')), 'sequences'),
    ({}, dict(data=dict(name='perceptron', train=20, test=5), model=dict(name='linear')), 'take the hinge loss, or two outputs'),
    ({}, dict(data=dict(name='linear_map', inputs=3)), 'singular has 4 values'),
  ],
)  # fmt: skip
def test_parts_that_do_not_fit_are_a_sentence(init, changes, words):
  with pytest.raises(ValueError, match=words):
    check_cell(cell_of(init, **changes))


def test_a_component_from_outside_may_draw_weights_and_keeps_programs_apart(tmp_path, monkeypatch):
  (tmp_path / 'drawers.py').write_text('from dynamics.probes import norms\n\n\ndef drawer():\n  return norms()\n')
  monkeypatch.syspath_prepend(tmp_path)
  for probes, shared in (({'norms': {}}, True), ({'drawn': {'name': 'drawers:drawer'}}, False)):
    cells = [cell_of(dict(name=name), probes=probes) for name in ('gaussian', 'generalised_gaussian')]
    assert (len({plan.alike(after_start(cell)) for cell in cells}) == 1) == shared
