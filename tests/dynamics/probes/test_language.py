"""Probes of a model that answers at every position, with padded labels, against dense derivatives in numpy."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import losses, probes
from dynamics.types import Batch

N, LENGTH, K, H = 5, 4, 7, 3
rng = np.random.default_rng(2)
TOKENS, LABELS = (rng.integers(0, K, size=(N, LENGTH)).astype(np.int32) for _ in range(2))
LABELS[1, 2:], LABELS[2, 0], LABELS[4, :3] = -1, -1, -1  # 4, 2, 3, 4 and 1 labels
COUNTS = (LABELS >= 0).sum(1)
STEPS = [{'e': rng.normal(size=(K, H)), 'r': rng.normal(size=(H, K))} for _ in range(2)]  # weights at step 0 and later
close = lambda a, b, rtol=1e-8: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-12)


def answer(variables, x):
  """A position sees all before it."""
  params = variables['params']
  h = jnp.tanh(jnp.cumsum(params['e'][x], axis=1))
  return h @ params['r'], {'after_input': h, 'squares': h**2}


@pytest.fixture
def views(probing, wide):
  loss = losses.cross_entropy(dtype='float64')
  batch, (start, now) = Batch(jnp.asarray(TOKENS), jnp.asarray(LABELS)), jax.tree.map(jnp.asarray, STEPS)
  first = probing.view(answer, start, batch, loss=loss)
  later = probing.view(answer, now, batch, loss=loss, initial=start, step=3)
  return first, later._replace(problem=first.problem)


def vectors():
  """Of both steps: (the weights as a vector, vector -> outputs (n, l, k))."""
  for params in STEPS:
    flat, back = jax.flatten_util.ravel_pytree(jax.tree.map(jnp.asarray, params))
    yield flat, lambda w, back=back: answer({'params': back(w)}, TOKENS)[0]


def sums(outputs):
  """The loss of each sequence, summed over its labels, over the mean number of labels."""
  z = jax.nn.log_softmax(outputs)
  return jnp.stack([-sum(z[i, j, LABELS[i, j]] for j in range(LENGTH) if LABELS[i, j] >= 0) for i in range(N)]) / COUNTS.mean()


def cosine(a, b):
  return np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b)


def middle(kernel):
  off = np.eye(N) - 1 / N
  return off @ kernel @ off


# ---- kernel -----------------------------------------------------------------------------------------------------


def test_the_projected_kernel_against_dense_jacobians_along_the_same_directions(probing, views):
  """Of both readings, with the standard error of the trace, and for two members at once."""
  v = 6
  probe = probes.kernel(examples=N, top=2, projections=v, keep=True)
  keys = jax.random.split(jax.random.key(0, impl='threefry2x32'), v)
  signs = np.stack([np.asarray(jax.random.rademacher(key, (LENGTH, K), jnp.float32)) for key in keys])
  jacobians = [np.asarray(jax.jacobian(outputs)(w)) for w, outputs in vectors()]
  rows = [np.einsum('vlk,nlkp->vnp', signs, j) for j in jacobians]
  draws = [np.einsum('vnp,vmp->vnm', r, r) for r in rows]
  kernels = [d.mean(0) for d in draws]
  targets = np.zeros((N, LENGTH, K))
  for i, j in np.argwhere(LABELS >= 0):
    targets[i, j, LABELS[i, j]] = 1
  targets = targets.reshape(N, -1)
  for d, k, read in zip(draws, kernels, probing.read(probe, *views), strict=True):
    close(read['kernel'], k)
    each = np.trace(d, axis1=1, axis2=2)
    close(read['trace'], each.mean())
    close(read['trace_se'], each.std(ddof=1) / np.sqrt(v))
    close(read['drift'], np.linalg.norm(k - kernels[0]) / np.linalg.norm(kernels[0]))
    close(read['target_alignment'], cosine(middle(k), middle(targets @ targets.T)))
    close(sum(read['share_of'].values()), 1)

  def of_member(params):
    view = views[0]._replace(variables={**views[0].variables, 'params': params})
    reading, _ = probe.measure(view, probe.init(views[0]), None)
    return reading['kernel'], reading['trace_se']

  both = jax.tree.map(lambda *w: jnp.stack(w), *(view.variables['params'] for view in views))
  members, errors = jax.jit(jax.vmap(of_member))(both)
  close(members, np.stack(kernels))
  assert errors.shape == (2,)


@pytest.mark.parametrize('positions', ['all', 'last'])
def test_few_outputs_have_an_exact_kernel(probing, views, positions):
  (read,) = probing.read(probes.kernel(examples=N, top=2, keep=True, leaves=False, positions=positions), views[1])
  w, outputs = list(vectors())[1]
  j = np.asarray(jax.jacobian(outputs)(w))[:, -1 if positions == 'last' else slice(None)].reshape(N, -1, w.size)
  close(read['kernel'], np.einsum('nop,mop->nm', j, j))
  assert read['trace_se'] == 0
  if positions == 'last':
    same = (LABELS[:, -1:] == LABELS[:, -1]) & (LABELS[:, -1:] >= 0)
    close(read['target_alignment'], cosine(middle(read['kernel']), middle(same.astype(float))))


def test_many_outputs_are_refused_an_exact_kernel_before_anything_is_computed(probing):
  wide = lambda variables, x: jnp.ones((x.shape[0], 40, 30)) * variables['params']['w']
  view = probing.view(wide, {'w': jnp.ones(())}, Batch(jnp.zeros((3, 40), jnp.int32), jnp.zeros((3, 40), jnp.int32)))
  with pytest.raises(ValueError, match=r'of \(40, 30\) outputs an example takes 1,200 backward passes of each; set projections'):
    probes.kernel().init(view)


# ---- curvature and noise ----------------------------------------------------------------------------------------


@pytest.mark.parametrize('microbatch', [pytest.param(0, marks=pytest.mark.slow), 2])
def test_sharpness_and_spectrum_of_the_mean_over_labels_in_microbatches(probing, views, microbatch):
  """Five sequences, two at a time and one more; the eigenvalues are those of a dense Hessian."""
  w, outputs = list(vectors())[1]
  total = lambda w: jnp.mean(sums(outputs(w)))
  hessian, gradient = (np.asarray(derivative(total)(w)) for derivative in (jax.hessian, jax.grad))
  values, u = np.linalg.eigh(hessian)
  (read,) = probing.read(probes.sharpness(examples=N, tolerance=1e-8, microbatch=microbatch), views[1])
  close(read['largest'], values[-1:])
  close(read['smallest'], values[0])
  close(read['gradient_share'], (u[:, -1] @ gradient) ** 2 / (gradient @ gradient), 1e-5)
  probe = probes.hessian_spectrum(examples=N, steps=8, vectors=2, microbatch=microbatch, keep=True)
  (read,) = probing.read(probe, views[1])
  assert abs(read['trace'] - np.trace(hessian)) < 5 * read['trace_se']
  assert values[0] - 1e-9 <= read['smallest'] <= read['largest'] <= values[-1] + 1e-9


def test_gradient_noise_is_that_of_sequences_as_clusters(probing, views):
  """Against the gradients of single sequences, one after the other; the mean gradient is that of the mean over labels."""
  w, outputs = list(vectors())[1]
  rows = np.stack([np.asarray(jax.grad(lambda w, i=i: sums(outputs(w))[i])(w)) for i in range(N)])
  (read,) = probing.read(probes.gradient_noise(examples=N, chunk=2), views[1])
  trace = np.trace(np.cov(rows.T, ddof=1))
  square = np.sum(rows.mean(0) ** 2) - trace / N
  close(read['trace'], trace)
  close(read['gradient_square'], square)
  close(read['noise_scale'], trace / square if square > 0 else np.nan)


# ---- representation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize('positions', ['apart', 'last'])
def test_representation_of_positions_against_grams_of_all_examples(probing, views, positions):
  read = probing.read(probes.representation(examples=N, positions=positions), *views)[1]
  for layer in ('after_input', 'squares'):
    start, now = (np.asarray(answer(view.variables, TOKENS)[1][layer]) for view in views)
    rows = [(h[:, -1] if positions == 'last' else h.reshape(-1, H)) for h in (now, start)]
    close(read['alignment_of'][layer], cosine(*(h @ h.T for h in rows)))
    rows = [h - h.mean(0) for h in rows]
    close(read['cka_of'][layer], cosine(*(h @ h.T for h in rows)))
    values = np.linalg.svd(rows[0], compute_uv=False) ** 2
    close(read['participation_of'][layer], values.sum() ** 2 / np.sum(values**2))
