"""Laws that every probe obeys on every model. The table is `dynamics.probes.__all__`: a new probe is a new row."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import parallel, probes, train, trees
from dynamics.types import Signal

PROBES = tuple(probes.__all__)
MODELS = ('tokens', 'linear', 'matrix', 'floats', 'transformer')
ALONE = [('matrix' if probe == 'recovery' else 'linear', probe) for probe in PROBES]


def kinds(tree):
  return jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), tree)


def shapes(tree):
  return kinds(jax.eval_shape(lambda: tree))


# Readings that amplify rounding: by the condition of a kernel, or of the covariance between classes, or by the gap between
# eigenvalues. Eigenvectors have two signs, so that of the memory of `sharpness` only size and structure are compared.
LOOSE = {
  'sharpness/vectors': 3.0,
  'dense_spectrum': 1e-3,
  'hessian_spectrum': 1e-3,
  'sharpness': 1e-3,
  'batch_curvature': 1e-3,
  'kernel/condition': 1e-2,
  'kernel_regression': 1e-2,
  'neural_collapse/within': 2e-3,
}


def close(a, b, what):
  def one(path, x, y):
    place = f'{what.split(":")[0]}/{trees.path(path[1:])}'
    rtol = next((r for name, r in LOOSE.items() if place.startswith(name)), 2e-5)
    np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol / 10 * max(1.0, float(np.max(np.abs(y)))), err_msg=f'{what}: {place}')

  jax.tree_util.tree_map_with_path(one, a, b)


def same(a, b):
  jax.tree.map(np.testing.assert_array_equal, jax.device_get(a), jax.device_get(b))


@pytest.mark.parametrize('model', MODELS)
def test_every_probe_obeys_the_laws(cases, model):
  """Eager = vmap = map; shapes are known before; memory keeps its first structure; the training loop hears nothing.

  One test a model, because the models' programs cost more than all else. All probes share one program a layout; `map` runs
  the compiled program of one member, so it stands for jit.
  """
  study, (_, _, _, data, step) = cases.study(model), cases.member(model)
  members, states = train.join(cases.seeds, {'lr': cases.lr}), jax.tree.map(jnp.asarray, cases.trained(model))
  every = lambda *args: {probe: train.measure(study, probe)(*args) for probe in study.probes}
  vmapped, mapped = (
    jax.jit(parallel.over_members(every, (0, 0, 0, None, None), layout))(states, *members, data, step)
    for layout in ('vmap', 'map')
  )
  args = cases.member(model, 1)
  eager, promised = every(*args), jax.eval_shape(every, *args)
  for probe in study.probes:
    one = jax.tree.map(lambda x: x[1], mapped[probe])
    close(eager[probe], one, f'{probe}: eager is not jit')
    close(vmapped[probe], mapped[probe], f'{probe}: vmap is not map')
    assert kinds(promised[probe]) == shapes(eager[probe]), probe
    assert shapes(eager[probe][1]) == shapes(args[0].memory[probe]), f'{probe}: measure changes the structure of its memory'
  params, loss = args[0].variables['params'], jnp.float32(1)
  first = jax.eval_shape(train.start(study), *args[1:4]).memory
  for probe, kept in args[0].memory.items():
    assert kinds(first[probe]) == shapes(kept), f'{probe}: training changes the structure of its memory'
    if update := study.probes[probe].update:
      assert kinds(jax.eval_shape(update, kept, Signal(loss, params, params))) == shapes(kept), probe
  deaf = cases.trained(model, ('performance',))
  same(cases.trained(model).variables, deaf.variables)


@pytest.mark.parametrize(('model', 'probe'), ALONE)
def test_a_probe_alone_reads_what_it_reads_among_all_to_the_bit(cases, model, probe):
  """So switching one off changes nothing else. `meters` listens inside the training loop, and the weights keep their bits."""
  full, alone = cases.done(model), cases.done(model, (probe,))
  same(full.state.variables, alone.state.variables)
  same(full.state.opt_state, alone.state.opt_state)
  same(full.tables[probe], alone.tables[probe])


def test_order_of_probes_does_not_matter(cases):
  some = [probe for model, probe in ALONE if model == 'linear']
  full, back = cases.done('linear'), cases.done('linear', tuple(some[::-1]))
  same(full.state.variables, back.state.variables)
  for probe in some:
    same(full.tables[probe], back.tables[probe])


@pytest.mark.parametrize('probe', PROBES)
def test_docstring_says_what_is_read_what_it_costs_and_how_it_is_checked(probe):
  words = [line.split(':')[0].strip() for line in inspect.getdoc(getattr(probes, probe)).splitlines() if ':' in line]
  assert [w for w in words if w in ('Reading', 'Cost', 'Oracle', 'Source')] == ['Reading', 'Cost', 'Oracle', 'Source']
