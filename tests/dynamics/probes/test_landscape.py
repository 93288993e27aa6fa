"""Lines and planes of the loss, and the size of steps, against closed forms on quadratics and numpy in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, losses, models, network, objectives, optim, probes, train, transforms, trees
from dynamics.data.sampling import sampler
from dynamics.probes.landscape import barrier
from dynamics.study import Study
from dynamics.types import Batch, Data, Problem, StepInfo, Task, stateless

rng = np.random.default_rng(8)
X, Y = rng.normal(size=(12, 4)), np.arange(12) % 3
BATCH = Batch(jnp.asarray(X, jnp.float32), jnp.asarray(Y, jnp.int32))
NORMALISED = models.normalised_mlp(3, widths=(3,), activation='tanh', ghost=3)  # with batch statistics


@pytest.fixture
def measured(probing):
  """The reading of one view; `now` and `start` are variables."""

  def read(probe, apply, loss, now, batch, start=None, key=0):
    view = probing.view(apply, now['params'], batch, loss=loss)
    held = {'initial': now['params'], 'frozen': {}}
    variables = lambda v: {**v, **held}
    return probing.read(
      probe, view._replace(variables=variables(now), initial=variables(now if start is None else start)), key=key
    )[0]

  return read


def quadratic(a):
  """L(w) = 1/2 w^T a w as (apply, loss, batch); the same for every dtype of w."""
  height = lambda v, x: (v['params']['w'] @ jnp.asarray(a, v['params']['w'].dtype) @ v['params']['w'] / 2)[None, None]
  return height, lambda z, y: z[:, 0], Batch(jnp.zeros((1, 1)), jnp.zeros(1, jnp.int32))


def normalised():
  """(model, loss, variables, batch, heights) in float64; `heights` of stacked variables: loss and accuracy, by numpy."""
  model = network.initialised(network.from_flax(NORMALISED, jnp.asarray(X)), inits.gaussian())
  variables = jax.tree.map(lambda v: v.astype(jnp.float64), jax.jit(lambda key: model.init(key, None))(jax.random.key(1)))
  batch = Batch(jnp.asarray(X), jnp.asarray(Y, jnp.int32))
  forward = jax.jit(jax.vmap(lambda variables: model.apply(variables, batch.x[:7])))

  def heights(stacked):
    z = np.asarray(forward(stacked))  # (s, n, k)
    picked = z[:, np.arange(7), Y[:7]]
    return np.mean(np.log(np.exp(z).sum(2)) - picked, axis=1), np.mean(z.argmax(2) == Y[:7], axis=1)

  return model, losses.cross_entropy(dtype='float64'), variables, batch, heights


def test_the_landscape_of_a_quadratic(measured):
  """Along the gradient exactly; at random E L = 1/2 w^T a w + r^2 |w|^2 tr(a) / 2 p, within four standard errors."""
  p, r = 30, np.linspace(-0.5, 0.5, 5)
  a = np.cov(rng.normal(size=(p, 50)))
  w = rng.normal(size=p)
  apply, loss, batch = quadratic(a)
  out = measured(probes.landscape(points=5, reach=0.5, directions=200), apply, loss, {'params': {'w': jnp.float32(w)}}, batch)
  d = -a @ w / np.linalg.norm(a @ w) * np.linalg.norm(w)
  np.testing.assert_allclose(out['offset'], r, atol=1e-7)
  np.testing.assert_allclose(out['gradient'], [(w + s * d) @ a @ (w + s * d) / 2 for s in r], rtol=1e-4)
  expected = w @ a @ w / 2 + r**2 * (w @ w) * np.trace(a) / (2 * p)
  assert (np.abs(out['random'] - expected) <= 4 * out['random_se'] + 1e-5 * expected).all()
  assert out['random_se'][0] > 0
  assert out['random_se'][2] < 1e-5
  assert 'plane' not in out
  rest = measured(probes.landscape(points=3), apply, loss, {'params': {'w': jnp.zeros(p)}}, batch)
  assert np.isnan(rest['gradient']).all()
  assert (rest['random'] == 0).all()


def test_the_landscape_of_a_network_against_numpy_on_the_same_directions(measured, wide):
  """The directions are drawn again, by the names of the leaves, and the gradient is a finite difference along its own line."""
  model, loss, variables, batch, heights = normalised()
  fields = dict(examples=7, points=4, reach=0.6, directions=3, plane=True)
  out = measured(probes.landscape(**fields), model, loss, variables, batch, key=7)
  params, r = variables['params'], np.linspace(-0.6, 0.6, 4).astype(np.float32)
  flat, unflatten = jax.flatten_util.ravel_pytree(params)
  flat, others = np.asarray(flat), {n: v for n, v in variables.items() if n != 'params'}
  repeat = lambda tree, n: jax.tree.map(lambda v: np.repeat(np.asarray(v)[None], n, axis=0), tree)
  level = lambda w: heights({**repeat(others, len(w)), 'params': jax.vmap(unflatten)(jnp.asarray(w))})[0]

  def ray(i):
    key, parts = jax.random.fold_in(jax.random.key(7), i), []
    for name, w in trees.by_path(params).items():
      z = np.asarray(jax.random.normal(trees.named_key(key, name), w.shape, jnp.float32), np.float64).ravel()
      parts.append(z * np.linalg.norm(w) / np.linalg.norm(z))
    return np.concatenate(parts)

  d = [ray(i) for i in range(3)]
  steps = 1e-6 * np.eye(flat.size)
  slope = level(np.concatenate([flat + steps, flat - steps])).reshape(2, -1)
  g = slope[0] - slope[1]
  d.append(-g / np.linalg.norm(g) * np.linalg.norm(flat))
  plane = [flat + s * d[0] + t * d[1] for s in r for t in r]
  both = level(np.array([flat + s * v for v in d for s in r] + plane))
  lines, plane = both[:16].reshape(4, 4), both[16:].reshape(4, 4)
  np.testing.assert_allclose(out['random'], lines[:3].mean(0), rtol=1e-6)
  np.testing.assert_allclose(out['random_se'], lines[:3].std(0, ddof=1) / 3**0.5, rtol=1e-5)
  np.testing.assert_allclose(out['gradient'], lines[3], rtol=1e-5)
  np.testing.assert_allclose(out['plane'], plane, rtol=1e-6)


def test_lines_of_quadratics_fall_rise_or_bar(measured):
  """On a convex bowl no barrier; on an inverted one, of curvature -1 between ends at -1 and 1, one of 1/2."""
  at = lambda x: {'params': {'w': jnp.full(1, x)}}
  for sign, start, end, bar, rise, falls in [
    (1, 2.0, 0.0, 0, 0, 1),
    (1, 2.0, -1.0, 0, 0.5, 0),  # beyond the minimum
    (-1, -1.0, 1.0, 0.5, 0.5, 0),
    (1, 1.5, 1.5, 0, 0, 1),  # step 0
  ]:
    apply, loss, batch = quadratic(sign * np.eye(1))
    out = measured(probes.interpolation(points=13), apply, loss, at(end), batch, at(start))
    r = np.linspace(0, 1, 13)
    np.testing.assert_allclose(out['loss'], sign * (start + r * (end - start)) ** 2 / 2, atol=1e-6)
    np.testing.assert_allclose([out['barrier'], out['rise'], out['falls']], [bar, rise, falls], atol=1e-6)
    np.testing.assert_allclose(barrier(apply, loss, at(start), at(end), batch, 13), bar, atol=1e-6)
  lost = measured(probes.interpolation(), apply, loss, at(np.nan), batch, at(1.0))
  assert np.isnan([lost['falls'], lost['barrier'], lost['rise']]).all()


def test_the_line_between_two_networks_against_numpy(probing, wide):
  """Under vmap over two ends, as for the members of a study. Its ends are the networks, batch statistics and all."""
  model, loss, start, batch, heights = normalised()
  other = lambda v: jnp.asarray(v * rng.uniform(0.5, 2, v.shape) + rng.uniform(0, 0.5, v.shape))  # its variances are positive
  ends = [jax.tree.map(other, start) for _ in range(2)]
  rows = jax.tree.map(lambda x: x[:7], batch)
  stacked = jax.tree.map(lambda *v: jnp.stack(v), *ends)
  bars = jax.jit(jax.vmap(lambda end: barrier(model.apply, loss, start, end, rows, 6)))(stacked)
  r = np.linspace(0, 1, 6).astype(np.float32).astype(np.float64)
  view = probing.view(model, start['params'], batch, loss=loss)
  readings = probing.read(
    probes.interpolation(examples=7, points=6), *(view._replace(variables=end, initial=start) for end in ends)
  )
  for end, bar, out in zip(ends, bars, readings, strict=True):
    line = jax.tree.map(lambda a, b: np.stack([(1 - s) * np.asarray(a) + s * np.asarray(b) for s in r]), start, end)
    level, accuracy = heights(line)
    np.testing.assert_allclose(out['loss'], level, rtol=1e-9)
    np.testing.assert_allclose(out['accuracy'], accuracy, rtol=1e-6)
    expected = np.max(level - (1 - r) * level[0] - r * level[-1])
    np.testing.assert_allclose([out['barrier'], bar], expected, rtol=1e-6, atol=1e-12)
    rise = max(level[j] - level[i] for i in range(6) for j in range(i, 6))
    np.testing.assert_allclose(out['rise'], rise, rtol=1e-6, atol=1e-12)
    assert bool(out['falls']) == (rise < 1e-9)


def test_what_is_held_does_not_move_along_the_line():
  """L = -(w + initial + frozen)^2 / 2, whose barrier is an eighth of the squared length of the line: from 0 to 4."""
  apply = lambda v, x: (v['params']['w'] + v['initial']['w'] + v['frozen']['shift'])[None]
  loss, batch = lambda z, y: -(z[:, 0] ** 2) / 2, Batch(jnp.zeros((1, 1)), jnp.zeros(1, jnp.int32))
  at = lambda w, held: {'params': {'w': jnp.full(1, w)}, 'initial': {'w': jnp.full(1, held)}, 'frozen': {'shift': jnp.ones(1)}}
  np.testing.assert_allclose(barrier(apply, loss, at(-2.0, -3.0), at(2.0, 1.0), batch, 3), 2, rtol=1e-6)


# ---- effective_step ---------------------------------------------------------------------------------------------


def stepped(optimizer, transform=None, schedule=None, steps=7, times=(0, 1, 3, 7)):
  """Readings (t, m, ...) of effective_step and of the weights of every step: three members, minibatches."""
  model = network.initialised(network.from_flax(models.mlp(3, widths=(4, 3)), BATCH.x), inits.gaussian())
  model, loss = transform(model) if transform else model, losses.cross_entropy()
  task = Task(lambda key: Data(BATCH, BATCH), 3)
  weights = stateless(lambda view, key: view.variables['params'])
  made, objective = {'step': probes.effective_step(), 'weights': weights}, objectives.supervised()(model, loss, None)

  def problem(hyper, source):
    whole = optim.chain(optimizer(lr=hyper['lr']), schedule, model.rates)
    return Problem(task, model, loss, objective, whole, sampler(size=6), probes=made)

  study = Study(problem, steps, {'step': times, 'weights': tuple(range(steps + 1))})
  arrays = train.run(study, (0, 1, 2), {'lr': (0.05, 0.1, 0.2)}).arrays
  return {probe: {name: v.values.swapaxes(0, 1) for name, v in of_probe.items()} for probe, of_probe in arrays.items()}


@pytest.mark.parametrize('name', ['sgd', 'adam'])
def test_steps_are_those_of_the_weights_of_every_step(name):
  """The oracle sees the weights alone, and on plain gradient descent they tell the gradients too."""
  times = (0, 1, 3, 7)
  # Gradient descent under a schedule and muP: only the rate of each leaf and step makes its steps 1.
  tables = (
    stepped(optim.adam)
    if name == 'adam'
    else stepped(optim.sgd, transforms.mup(base=2), lambda t: jnp.where(t % 3 == 0, 1.0, 0.5))
  )
  readings = tables['step']
  w = {n: v.reshape(*v.shape[:2], -1).astype(np.float64) for n, v in tables['weights'].items()}
  w['all'] = np.concatenate(list(w.values()), axis=-1)
  for leaf, v in w.items():
    size, divisor = np.linalg.norm(np.diff(v, axis=0), axis=-1), np.linalg.norm(v[:-1], axis=-1)
    ratio = np.divide(size, divisor, where=divisor > 0, out=np.full(size.shape, np.nan))
    reading = readings['relative' if leaf == 'all' else f'relative_of/{leaf}']
    assert np.isnan(reading[0]).all()
    for row, (first, last) in enumerate(itertools.pairwise(times), 1):
      window = ratio[first:last]
      count = np.isfinite(window).sum(0)
      expected = np.where(count > 0, np.nansum(window, axis=0) / np.maximum(count, 1), np.nan)
      np.testing.assert_allclose(reading[row], expected, rtol=1e-4, err_msg=f'{leaf} at {last}')
  if name == 'sgd':
    np.testing.assert_allclose(readings['effective'][1:], 1, rtol=1e-5)
    assert (readings['cosine'][1:] < 1 - 1e-4).all(), 'the rates of the leaves are all the same'
  else:
    assert (readings['cosine'][1:] < 0.99).all()
    assert (readings['effective'][1:] > 1.5).all()


def test_the_ratios_of_steps_by_hand(probing):
  """Two steps of known vectors, and one without a gradient, which has neither a cosine nor an effective step."""
  view = probing.view(lambda v, x: x, {'a': jnp.float32([3, 4]), 'b': jnp.zeros(1)})
  probe = probes.effective_step()
  tree = lambda a, b: {'a': jnp.float32(a), 'b': jnp.float32([b])}
  steps = [(tree([0, -1], 0), tree([0, 2], 0)), (tree([-3, 0], 4), tree([0, 0], 1)), (tree([0, 0], 1), tree([0, 0], 0))]
  single, leaves = jnp.float32(0.5), {'a': jnp.float32(0.5), 'b': jnp.float32(2)}
  for rates, effective in ((single, [1 / (0.5 * 2), 5 / 0.5]), (leaves, [1 / (0.5 * 2), 5 / 2]), (None, [np.nan])):
    state = probe.init(view)
    for u, g in steps:
      state = probe.update(state, StepInfo(jnp.float32(0), g, u, rates))
    out, state = probe.measure(view, state, None)
    np.testing.assert_allclose(out['relative'], np.mean([1 / 5, 5 / 18**0.5, 1 / 5]), rtol=1e-6)
    np.testing.assert_allclose(out['relative_of']['a'], np.mean([1 / 5, 3 / 18**0.5, 0]), rtol=1e-6)
    np.testing.assert_allclose(out['relative_of']['b'], 1 / 4, rtol=1e-6)  # its first two steps start from zero
    np.testing.assert_allclose(out['effective'], np.mean(effective), rtol=1e-6)
    np.testing.assert_allclose(out['rate'], np.mean([1 / 2, 5 / 1]), rtol=1e-6)
    np.testing.assert_allclose(out['cosine'], np.mean([1, -0.8]), rtol=1e-6)
  assert np.isnan(jax.tree.leaves(probe.measure(view, state, None)[0])).all(), 'no step since the last reading'
