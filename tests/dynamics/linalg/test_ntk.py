"""All choices of the tangent kernel, on one small model whose Jacobian is written out, and on its mistakes."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from dynamics import models, parallel
from dynamics.linalg import kernel_vector, ntk, sharded_ntk


def floats(*shape):
  return jnp.asarray(np.random.default_rng(5).normal(size=shape), jnp.float32)


def small(variables, x):
  """tanh(0.7 a x + c) b"""
  w = variables['params']
  return jnp.tanh(x @ (w['a'] * jnp.asarray(0.7, x.dtype)) + w['c'][None]) @ w['b']


VARIABLES, X = {'params': {'a': floats(4, 6), 'b': floats(6, 3), 'c': floats(6)}}, floats(5, 4)


def expected(trace=True):
  """The kernel from the derivatives by hand, in numpy: b_hk (1 - z_h^2) (0.7 x, 1) of the hidden layer, z of the readout."""
  a, b, c, x = (np.asarray(v, np.float64) for v in (*(VARIABLES['params'][key] for key in 'abc'), X))
  z = np.tanh(0.7 * x @ a + c)
  back = (1 - z**2)[:, None] * b.T  # (n, k, h)
  hidden = np.einsum('nkh,mlh->nmkl', back, back) * (0.49 * x @ x.T + 1)[..., None, None]
  whole = hidden + np.einsum('nm,kl->nmkl', z @ z.T, np.eye(3))
  return np.trace(whole, axis1=2, axis2=3) if trace else whole


def close(kernel, true, tolerance=3e-6):
  """To `tolerance` of the largest entry."""
  np.testing.assert_allclose(kernel, true, rtol=0, atol=tolerance * np.abs(true).max())


# ---- all choices ------------------------------------------------------------------------------------------------


SMALL_BLOCKS = {'chunk': 2, 'budget': 1}  # nothing can be kept


@pytest.mark.parametrize(
  ('method', 'rows', 'choices'),
  [
    ('auto', 3, {}),
    ('auto', None, {'trace': False, **SMALL_BLOCKS}),
    ('layers', 3, {'trace': False, 'chunk': 2}),
    ('layers', None, {'trace': False, **SMALL_BLOCKS}),
    ('layers', 3, {'leaves': True, **SMALL_BLOCKS}),
    ('layers', None, {'chunk': 1}),
    ('layers', None, {'diagonal': True, 'chunk': 2}),
    ('layers', None, {'diagonal': True, 'trace': False, 'leaves': True}),
    ('jacobian', 3, {'chunk': 2}),
    ('jacobian', None, {'trace': False}),
    ('jacobian', None, {'diagonal': True}),
    ('vector', 3, {'trace': False, 'chunk': 2, 'leaves': True}),
    ('vector', None, {'chunk': 1}),
    ('vector', None, {'diagonal': True, 'trace': False, **SMALL_BLOCKS}),
  ],
)
def test_all_choices_agree(method, rows, choices):
  variables, x = VARIABLES, X
  kernel = ntk(small, variables, x, None if rows is None else x[:rows], method=method, **choices)
  kernel = sum(kernel.values()) if choices.get('leaves') else kernel
  true = expected(choices.get('trace', True))[:, :rows]
  close(kernel, true[np.arange(5), np.arange(5)] if choices.get('diagonal') else true)


def test_kernel_vector_is_the_product_with_the_matrix():
  variables, x = VARIABLES, X
  v = floats(3, 3)
  true = np.einsum('nmkl,ml->nk', expected(trace=False)[:, :3], np.asarray(v, np.float64))
  close(jax.jit(kernel_vector(small, variables, x, x[:3]))(v), true)
  with pytest.raises(ValueError, match=r'v has shape \(3, 1\), but the outputs of x2 have \(3, 3\)'):
    kernel_vector(small, variables, x, x[:3])(v[:, :1])


# ---- float64 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('method', ['layers', 'vector'])
def test_float64_agrees_with_central_differences(wide, method):
  variables, x = VARIABLES, X
  kernel = ntk(small, variables, x, trace=False, dtype='float64', method=method)
  chex.assert_type(kernel, np.float64)
  variables, x = jax.tree.map(lambda w: np.asarray(w, np.float64), (variables, x))
  vector, back = jax.flatten_util.ravel_pytree(variables['params'])
  step, forward = 1e-6, lambda w: small({**variables, 'params': back(w)}, x)
  column = lambda e: (forward(vector + step * e) - forward(vector - step * e)) / (2 * step)
  jacobian = np.moveaxis(jax.device_get(jax.jit(jax.vmap(column))(np.eye(vector.size))), 0, -1)
  close(kernel, np.einsum('nkp,mlp->nmkl', jacobian, jacobian), 1e-8)


# ---- transformations and devices --------------------------------------------------------------------------------


def test_members_under_vmap_and_a_derivative_of_the_kernel():
  variables, x = VARIABLES, X
  double = {**variables, 'params': jax.tree.map(lambda w: 2 * w, variables['params'])}
  both = jax.tree.map(lambda a, b: np.stack([a, b]), variables, double)
  kernels = jax.device_get(jax.jit(jax.vmap(lambda v: ntk(small, v, x, chunk=2)))(both))
  close(kernels[0], expected())
  close(kernels[1], ntk(small, double, x, method='jacobian'))
  norm = lambda s: jnp.sum(ntk(small, {**variables, 'params': jax.tree.map(lambda w: w * s, variables['params'])}, x, chunk=3))
  slopes = jax.jit(lambda s, h: (jax.grad(norm)(s), (norm(s + h) - norm(s - h)) / (2 * h)))
  slope, difference = slopes(np.float32(1), np.float32(0.01))
  np.testing.assert_allclose(slope, difference, rtol=2e-3)


@pytest.mark.parametrize('trace', [True, False])
def test_rows_over_four_devices(trace):
  variables, x = VARIABLES, X
  x = jnp.concatenate([x, x[:3]])
  mesh = parallel.mesh(4, devices=jax.devices()[:4])
  kernel = jax.jit(sharded_ntk(mesh, parallel.MEMBER, small, trace=trace))(variables, x)
  assert kernel.sharding.is_equivalent_to(NamedSharding(mesh, P(parallel.MEMBER)), kernel.ndim)
  close(kernel[:5, :5], expected(trace))
  split = jax.device_put(x, NamedSharding(mesh, P(parallel.MEMBER)))
  close(ntk(small, variables, split, trace=trace)[:5, :5], expected(trace))
  with pytest.raises(ValueError, match='5 rows cannot be split evenly over the 4 devices'):
    sharded_ntk(mesh, parallel.MEMBER, small)(variables, x[:5])


def test_temporaries_stay_near_the_budget(optimizations):
  widths, n, budget = (64, 64), 512, 2**21
  module = models.mlp(widths=widths, outputs=10)
  variables, x = jax.eval_shape(module.init, jax.random.key(0), floats(1, 32)), floats(n, 32)

  def temporaries(**choices):
    compiled = jax.jit(lambda v: ntk(module.apply, v, x, **choices)).lower(variables).compile()
    return compiled.memory_analysis().temp_size_in_bytes

  with optimizations():  # buffers are shared only then
    assert temporaries(method='layers', budget=budget) < 1.5 * budget < temporaries(method='layers')
    assert temporaries(method='jacobian', budget=2 * budget) < 3 * budget < temporaries(method='jacobian')


def test_one_compilation_for_each_shape():
  calls = []

  def counted(variables, x):
    calls.append(x.shape)
    return small(variables, x)

  ntk(counted, VARIABLES, X)
  before = len(calls)
  ntk(counted, VARIABLES, 2 * X)
  assert len(calls) == before


# ---- trees of inputs, rows that mix ---------------------------------------------------------------------------------


def joined(variables, x):
  """`small` of inputs whose columns lie in two arrays, one of them of positions."""
  return small(variables, jnp.concatenate([x['a'], x['b'].reshape(x['b'].shape[0], -1)], axis=1))


TREE = {'a': X[:, :2], 'b': X[:, 2:, None]}


@pytest.mark.parametrize(
  ('method', 'rows', 'choices'),
  [
    ('auto', 3, {}),
    ('layers', 3, {'trace': False, **SMALL_BLOCKS}),
    ('layers', None, {'diagonal': True, 'chunk': 2}),
    ('vector', None, {'chunk': 2}),
  ],
)
def test_inputs_in_a_tree_have_the_kernel_of_their_concatenation(method, rows, choices):
  other = None if rows is None else jax.tree.map(lambda v: v[:rows], TREE)
  true = expected(choices.get('trace', True))[:, :rows]
  kernel = ntk(joined, VARIABLES, TREE, other, method=method, **choices)
  close(kernel, true[np.arange(5), np.arange(5)] if choices.get('diagonal') else true)


def test_products_and_rows_over_devices_of_inputs_in_a_tree():
  few, v = jax.tree.map(lambda v: v[:3], TREE), floats(3, 3)
  true = np.einsum('nmkl,ml->nk', expected(trace=False)[:, :3], np.asarray(v, np.float64))
  close(kernel_vector(joined, VARIABLES, TREE, few)(v), true)
  mesh = parallel.mesh(4, devices=jax.devices()[:4])
  four = jax.tree.map(lambda v: v[:4], TREE)
  close(jax.jit(sharded_ntk(mesh, parallel.MEMBER, joined))(VARIABLES, four, TREE), expected()[:4])


@pytest.mark.parametrize('call', [ntk, kernel_vector])
@pytest.mark.parametrize(
  ('x1', 'x2', 'sentence'),
  [
    (
      {'a': X, 'b': X[:1]},
      None,
      r'arrays of x1 must have one leading axis of examples, but they are a: .*\(5, 4\), b: .*\(1, 4\)',
    ),
    (TREE, {'a': X, 'b': X[:, 2:, None]}, r"examples of x1 have shape {'a': \(2,\), 'b': \(2, 1\)} and those of x2 {'a': \(4,\)"),
    (X.astype(jnp.complex64), None, r'x1 is complex64\(5, 4\): inputs are floats or whole numbers'),
    (np.asarray(X).tolist(), None, r'x1/0/0 is a Python float: .* jnp.asarray\(x1\)'),
  ],
)
def test_inputs_that_have_no_kernel(call, x1, x2, sentence):
  with pytest.raises(ValueError, match=sentence):
    call(joined, VARIABLES, x1, x2)


class Normed(nn.Module):
  @nn.compact
  def __call__(self, x, train=True):
    return nn.Dense(3)(nn.BatchNorm(not train)(nn.Dense(5)(x)))


def half(variables, x):
  """`small` with the rounding of bfloat16, in float32."""
  cast = lambda tree: jax.tree.map(lambda w: w.astype(jnp.bfloat16), tree)
  return small(cast(VARIABLES), cast(x)).astype(jnp.float32) + variables['params']['Dense_0']['bias'][None]


NORMED = jax.jit(Normed().init)(jax.random.key(1), X)
MIXING = {
  'batch norm in training mode': lambda v, x: Normed().apply(v, x, mutable=['batch_stats'])[0],
  'outputs less their mean': lambda v, x: half(v, x) - jnp.mean(half(v, x), axis=0, keepdims=True),
  'one row that reads the one before': lambda v, x: half(v, x) + jnp.roll(x, 1, axis=0)[:, :3],
}


@pytest.mark.parametrize('call', [ntk, kernel_vector])
@pytest.mark.parametrize('rows', [5, 1])
@pytest.mark.parametrize('case', MIXING)
def test_a_model_that_mixes_rows_has_no_kernel(call, rows, case):
  with pytest.raises(
    ValueError, match=r'apply mixes rows: among others the output of an example of x1 differs by .*evaluation mode'
  ):
    call(MIXING[case], NORMED, X[:rows])


def test_running_averages_and_rounding_mix_no_rows():
  """Evaluation mode; half precision; f - f0 at step 0, where all outputs are rounding; a model that has diverged; a trace."""
  evaluate = lambda v, x: Normed().apply(v, x, train=False)
  start = jax.tree.map(lambda w: w * jnp.asarray(1 + 2e-7, w.dtype), NORMED['params'])
  centred = lambda v, x: evaluate(v, x) - evaluate({**v, 'params': start}, x)
  kernel = ntk(evaluate, NORMED, X)
  assert np.isfinite(kernel).all()
  np.testing.assert_allclose(ntk(centred, NORMED, X), kernel, rtol=1e-5)
  np.testing.assert_allclose(ntk(half, NORMED, X), np.full((5, 5), 3.0))
  assert np.isnan(ntk(evaluate, jax.tree.map(lambda w: w * jnp.nan, NORMED), X)).all()
  assert jax.jit(lambda v: ntk(MIXING['batch norm in training mode'], v, X))(NORMED).shape == (5, 5)


# ---- mistakes ---------------------------------------------------------------------------------------------------

LINEAR = lambda v, x: x @ v['params']['w']


@pytest.mark.parametrize(
  ('apply', 'x1', 'x2', 'choices', 'sentence'),
  [
    (LINEAR, (3, 4), (3, 5), {}, r'examples of x1 have shape \(4,\) and those of x2 \(5,\)'),
    (LINEAR, (0, 4), None, {}, r'x1 holds no examples'),
    (LINEAR, (3, 4), (0, 4), {}, r'x2 holds no examples'),
    (LINEAR, (3, 4), None, {'method': 'layer'}, "method is 'layer'; did you mean 'layers'"),
    (LINEAR, (3, 4), None, {'chunk': 0}, 'chunk is 0; it must be a number of examples'),
    (LINEAR, (3, 4), (3, 4), {'diagonal': True}, 'diagonal=True is of x1 with itself'),
    (LINEAR, (3, 4), None, {'dtype': 'float64'}, 'jax is in 32-bit mode'),
    (LINEAR, (3, 4), None, {'dtype': 'bfloat16'}, "dtype is 'bfloat16'"),
    (LINEAR, (3, 4), None, {'limit': 20, 'trace': False}, r'what fits: .*diagonal=True \(.*1 rows of x1'),
    (LINEAR, (300, 4), None, {'limit': 4 * 300 * 2}, r'would take 0\.000335 GiB.*diagonal=True.*2 rows of x1'),
    (lambda v, x: jnp.argmax(LINEAR(v, x), axis=1, keepdims=True), (3, 4), None, {}, 'apply returns int32'),
    (lambda v, x: jnp.sum(LINEAR(v, x), axis=0), (3, 4), None, {}, r'apply returns \(2,\) for 3 examples'),
    (lambda v, x: LINEAR(v, x).T, (3, 4), None, {}, r'apply returns \(2, 3\) for 3 examples'),
    (lambda v, x: (LINEAR(v, x),), (3, 4), None, {}, 'apply returns a tuple; it must be one array'),
  ],
)
def test_mistakes_are_sentences(apply, x1, x2, choices, sentence):
  with pytest.raises(ValueError, match=sentence):
    ntk(apply, {'params': {'w': jnp.ones((4, 2))}}, jnp.ones(x1), None if x2 is None else jnp.ones(x2), **choices)


def test_parameters_must_be_there_and_floating():
  with pytest.raises(ValueError, match=r"variables hold weights; parameters are expected under 'params'"):
    ntk(LINEAR, {'weights': jnp.ones((4, 2))}, jnp.ones((3, 4)))
  kinds = {
    'parameter w is int32': jnp.ones((4, 2), jnp.int32),
    'parameter w is a Python float': 2.0,
    'parameter w is complex64; .* real and imaginary parts': jnp.ones((4, 2), jnp.complex64),
    'parameter w is float64, but jax is in 32-bit mode': np.ones((4, 2)),
  }
  for sentence, w in kinds.items():
    for call in (ntk, kernel_vector):
      with pytest.raises(ValueError, match=sentence):
        call(LINEAR, {'params': {'w': w}}, jnp.ones((3, 4)))
