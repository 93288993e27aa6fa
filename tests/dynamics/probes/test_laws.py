"""Laws that every probe obeys. The table is `dynamics.probes.__all__`: a new probe is a new row."""

import functools
import inspect
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import optim, parallel, probes, stages, train, trees
from dynamics.schema import fields
from dynamics.types import StepInfo

PROBES = tuple(probes.__all__)
FIELDS = {'batch_curvature': {'sizes': (4,), 'draws': 2}}  # each size compiles an eigensolver
CURVATURE = ('batch_curvature', 'dense_spectrum', 'hessian_spectrum', 'sharpness')
# Where the numbers of a probe are compared: Hessians on the smallest network, because they take longest to compile.
HOME = {probe: 'linear' if probe in CURVATURE else 'matrix' if probe == 'recovery' else 'floats' for probe in PROBES}
OF = {case: tuple(probe for probe in PROBES if HOME[probe] == case) for case in ('floats', 'linear', 'matrix')}
QUICK = (pytest.param('floats', marks=pytest.mark.slow), 'linear', 'matrix')  # twenty-odd programs take long to compile
REFUSED = {
  'floats': ('recovery',),
  'linear': ('neural_collapse', 'recovery'),
  'matrix': (
    'activations',
    'activity',
    'extremes',
    'neural_collapse',
    'null_space',
    'patches',
    'random_features',
    'representation',
    'interval_bounds',
  ),
  'tokens': ('modes', 'null_space', 'patches', 'recovery', 'input_spectrum', 'input_jacobian', 'interval_bounds', 'complexity'),
  'transformer': (
    'balance',
    'modes',
    'null_space',
    'patches',
    'recovery',
    'input_spectrum',
    'input_jacobian',
    'interval_bounds',
    'complexity',
  ),
}
# What carries a state, and can so change the programs of the start and of the steps.
STATEFUL = {
  'floats': ('effective_step', 'kernel', 'kernel_regression', 'meters', 'modes', 'oscillation', 'path', 'rest'),
  'linear': ('sharpness',),
  'matrix': ('recovery',),
}

# Readings that amplify rounding: by the condition of a kernel, or of the covariance between classes, or by the gap between
# eigenvalues. Eigenvectors have two signs, so that of the state of `sharpness` only size and structure are compared.
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


def with_probes(study, made):
  """The study with these probes in place of its own, which have the same names."""
  return study._replace(problem=lambda hyper, source: study.problem(hyper, source)._replace(probes=made))


@pytest.fixture(scope='module')
def trained(cases):
  """(study, members, data, state, frozen) of three members after six steps: two programs, start and advance."""

  @functools.cache
  def run(case, on):
    study = with_probes(cases.study(case, on), {probe: getattr(probes, probe)(**FIELDS.get(probe, {})) for probe in on})
    members, data = train.join(cases.seeds, {'lr': cases.lr}), cases.case(case).draws
    programs = train.compile_programs(study, parallel.mesh(1))
    state, frozen = programs.start(members, data)
    frozen = jax.device_get(frozen)
    return study, members, data, jax.device_get(programs.advance(state, frozen, members, data, 0, 6)), frozen

  return run


def close(a, b, what):
  for path, x in trees.by_path(a).items():
    y, place = trees.by_path(b)[path], f'{what.split(":")[0]}/{path.partition("/")[2]}'
    rtol = next((r for name, r in LOOSE.items() if place.startswith(name)), 2e-5)
    np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol / 10 * max(1.0, float(np.max(np.abs(y)))), err_msg=f'{what}: {place}')


def kinds(tree):
  """Shapes and dtypes, weak ones too: what decides whether a program is traced again."""
  return jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), tree)


def every(study):
  return lambda *args: {probe: stages.measure(study, probe)(*args) for probe in study.schedule}


@pytest.fixture(scope='module')
def measured(trained):
  """layout -> the readings and states of all members after six steps: all probes share one program."""

  @functools.cache
  def run(case, layout):
    study, members, data, state, frozen = trained(case, OF[case])
    program = jax.jit(parallel.over_members(every(study), (0, 0, 0, None, None), layout))
    return jax.device_get(program(state, frozen, members, data, jnp.int32(6)))

  return run


@pytest.mark.parametrize('case', QUICK)
def test_vmap_is_map_and_shapes_are_known_before(trained, measured, case):
  """`map` runs the compiled program of one member, so it stands for jit."""
  study, members, data, state, frozen = trained(case, OF[case])
  first = jax.tree.map(lambda x: x[0], (state, frozen, members))
  promised = jax.eval_shape(every(study), *first, data, jnp.int32(6))
  for probe in study.schedule:
    vmapped, mapped = (measured(case, layout)[probe] for layout in ('vmap', 'map'))
    close(vmapped, mapped, f'{probe}: vmap is not map')
    chex.assert_trees_all_equal_shapes_and_dtypes(jax.tree.map(lambda x: x[0], mapped), promised[probe])


@pytest.mark.slow
@pytest.mark.parametrize('case', OF)
def test_eager_is_jit(trained, measured, case):
  """Slow, because each operation is a program of its own."""
  study, members, data, state, frozen = trained(case, OF[case])
  eager = every(study)(*jax.tree.map(lambda x: jnp.asarray(x[1]), (state, frozen, members)), data, jnp.int32(6))
  for probe in study.schedule:
    close(eager[probe], jax.tree.map(lambda x: x[1], measured(case, 'map')[probe]), f'{probe}: eager is not jit')


@pytest.mark.parametrize('case', REFUSED)
def test_a_probe_keeps_the_structure_of_its_state_or_refuses_in_a_sentence(cases, case):
  """On every model, in reading and in training. Only traced: nothing is compiled."""
  member, data = jax.tree.map(lambda x: x[0], train.join(cases.seeds, {'lr': cases.lr})), cases.case(case).draws
  for probe in PROBES:
    study = cases.study(case, (probe,))
    if probe in REFUSED[case]:
      with pytest.raises(ValueError, match=r'need|show'):
        jax.eval_shape(stages.start(study), member, data)
      continue
    state, frozen = jax.eval_shape(stages.start(study), member, data)
    first = kinds(state.probes[probe])
    _, after = jax.eval_shape(stages.measure(study, probe), state, frozen, member, data, jax.ShapeDtypeStruct((), jnp.int32))
    assert kinds(after) == first, f'{probe}: in reading'
    if update := study.problem({'lr': 0.1}, None).probes[probe].update:
      loss, params = jax.ShapeDtypeStruct((), jnp.float32), state.variables['params']
      after = jax.eval_shape(update, state.probes[probe], StepInfo(loss, params, params, loss))
      assert kinds(after) == first, f'{probe}: in training'


@pytest.mark.parametrize('case', QUICK)
def test_which_probes_are_on_and_in_which_order_changes_no_bit(trained, case):
  """Neither of the weights nor of any probe's state, of which, with the weights, a reading is a function."""
  *_, full, _ = trained(case, OF[case])
  stateful = tuple(probe for probe in OF[case] if jax.tree.leaves(full.probes[probe]))
  assert stateful == STATEFUL[case]
  for on in ((), stateful[::-1], *((probe,) for probe in stateful)):
    *_, state, _ = trained(case, on)
    chex.assert_trees_all_equal((state.variables, state.opt_state), (full.variables, full.opt_state), custom_message=on)
    chex.assert_trees_all_equal(state.probes, {probe: full.probes[probe] for probe in on}, custom_message=on)


# ---- docstrings -------------------------------------------------------------------------------------------------


def documented(maker) -> dict[str, int]:
  """Reading -> number of its axes, out of lines 'name, name (shape), unit: meaning' under 'Reading:'."""
  block = inspect.getdoc(maker).partition('\nReading:\n')[2].partition('\nCost:')[0]
  lines = [line for line in block.splitlines() if re.match(r'  \S', line)]  # others go on
  names = {}
  for line in lines:
    match = re.fullmatch(r'  ([\w/, ]+) \(([\w, ]*)\)(, [^:]+)?: .+', line)
    assert match, f'{maker.__name__}: {line!r} is no "name (shape), unit: meaning"'
    for name in match[1].split(', '):
      assert name not in names, f'{maker.__name__} says twice what {name} is'
      names[name] = len([axis for axis in match[2].split(',') if axis.strip()])
  return names


@pytest.mark.parametrize('probe', PROBES)
def test_docstring_says_what_is_read_what_it_costs_and_how_it_is_checked(cases, probe):
  """Each reading at run time stands in the docstring with its number of axes, and no other."""
  maker = getattr(probes, probe)
  words = [line.split(':')[0] for line in inspect.getdoc(maker).splitlines() if re.match(r'(Reading|Cost|Oracle|Source):', line)]
  assert words == ['Reading', 'Cost', 'Oracle', 'Source']
  everything = {name: True for name in ('leaves', 'layers', 'keep', 'plane', 'spectra') if name in fields(maker)}
  study = cases.study(HOME[probe], (probe,), optimizer=lambda lr: optim.adam(lr=lr))
  study = with_probes(study, {probe: maker(**everything)})
  member, data = jax.tree.map(lambda x: x[0], train.join(cases.seeds, {'lr': cases.lr})), cases.case(HOME[probe]).draws
  state, frozen = jax.eval_shape(stages.start(study), member, data)
  reading, _ = jax.eval_shape(stages.measure(study, probe), state, frozen, member, data, jnp.int32(0))
  shown = {re.sub(r'_of/.*', '_of', name): leaf.ndim for name, leaf in trees.by_path(reading).items()}
  assert {re.sub(r'_of/.*', '_of', name): axes for name, axes in documented(maker).items()} == shown
