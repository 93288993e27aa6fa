"""Tables, parities and teachers: by brute force and by definition."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import data
from dynamics.data.modular import table
from dynamics.data.split import noisy

KEY = jax.random.key(0, impl='threefry2x32')

BRUTE = {
  'add': lambda a, b, p: (a + b) % p,
  'subtract': lambda a, b, p: (a - b) % p,
  'multiply': lambda a, b, p: (a * b) % p,
  'quadratic': lambda a, b, p: (a**2 + a * b + b**2) % p,
  'divide': lambda a, b, p: next(c for c in range(p) if (c * b - a) % p == 0),
}


@pytest.mark.parametrize('p', [2, 7, 12])
@pytest.mark.parametrize('operation', BRUTE)
def test_whole_tables_by_brute_force(operation, p):
  if operation == 'divide' and p == 12:
    with pytest.raises(ValueError, match='not prime'):
      table(operation, p)
    return
  x, y, size = table(operation, p)
  pairs = [(a, b) for a, b in itertools.product(range(p), range(p)) if b or operation != 'divide']
  assert [(a, b - p) for a, b in x.tolist()] == pairs
  assert y.tolist() == [BRUTE[operation](a, b, p) for a, b in pairs]
  assert (size, x.dtype, y.dtype) == (p, np.int32, np.int32)


def test_s5_is_a_group_and_not_a_commutative_one():
  x, y, size = table('s5', 0)
  law = y.reshape(120, 120)
  assert size == 120
  np.testing.assert_array_equal(x.reshape(120, 120, 2)[3, 7], [3, 127])
  for axis in (0, 1):  # a Latin square: closed, with inverses
    rows = np.broadcast_to(np.arange(120), (120, 120))
    np.testing.assert_array_equal(np.sort(law, axis=axis), rows if axis else rows.T)
  np.testing.assert_array_equal(law[0], np.arange(120))  # the identity comes first
  a, b, c = np.random.default_rng(0).integers(0, 120, (3, 500))
  np.testing.assert_array_equal(law[law[a, b], c], law[a, law[b, c]])
  assert (law != law.T).any()


@pytest.mark.parametrize('operation', ['add', 'divide', 's5'])
def test_the_split_is_disjoint_and_complete(operation):
  task = data.modular(p=7, operation=operation, train_fraction=0.3)
  drawn, (x, _, size) = task.draw(KEY), table(operation, 7)
  rows = [tuple(r) for part in (drawn.train, drawn.test) for r in part.x.tolist()]
  assert sorted(rows) == sorted(map(tuple, x.tolist()))
  assert len(drawn.train.y) == round(0.3 * len(x))
  assert (task.outputs, task.vocabulary) == (size, 2 * size)
  other = task.draw(jax.random.key(1))
  assert not np.array_equal(drawn.train.x, other.train.x)


@pytest.mark.parametrize('fraction', [0.001, 0.999])
def test_a_fraction_that_leaves_nothing_is_refused(fraction):
  with pytest.raises(ValueError, match='train_fraction'):
    data.modular(p=5, train_fraction=fraction)


def test_parity_is_that_of_the_first_bits():
  drawn = data.parity(bits=3, noise_bits=2, train=300, test=200).draw(KEY)
  assert drawn.train.x.shape == (300, 5)
  for part in (drawn.train, drawn.test):
    assert set(np.unique(part.x)) == {-1.0, 1.0}
    np.testing.assert_array_equal(part.y, [sum(v > 0 for v in row[:3]) % 2 for row in part.x.tolist()])
  assert not np.array_equal(drawn.train.x[:200], drawn.test.x)


@pytest.mark.parametrize('hidden', [0, 3])
def test_a_teacher_s_noise_is_on_the_training_targets_alone(hidden):
  """Without noise the targets are those of one function: fitting it exactly must be possible on the test rows."""
  make = lambda **k: data.teacher(inputs=4, outputs=2, hidden=hidden, train=400, test=50, **k).draw(KEY)
  clean, loud = make(noise=0.0), make(noise=0.5)
  np.testing.assert_array_equal(clean.train.x, loud.train.x)
  np.testing.assert_array_equal(clean.test.y, loud.test.y)
  np.testing.assert_allclose(np.std(loud.train.y - clean.train.y), 0.5, rtol=0.15)
  if not hidden:
    w = np.linalg.lstsq(clean.train.x, clean.train.y, rcond=None)[0]
    np.testing.assert_allclose(clean.test.x @ w, clean.test.y, atol=1e-4)


@pytest.mark.parametrize('outputs', [1, 3])
def test_a_teacher_s_labels_are_its_values_decided(outputs):
  make = lambda target: data.teacher(inputs=4, outputs=outputs, train=40, target=target).draw(KEY).train
  values, labels = np.asarray(make('value').y), make('label').y
  np.testing.assert_array_equal(labels, (values[:, 0] > 0) if outputs == 1 else values.argmax(1))
  assert labels.dtype == jnp.int32


@pytest.mark.parametrize('share', [0.0, 0.3, 1.0])
def test_label_noise_redraws_its_share(share):
  n = 20_000
  labels = noisy(KEY, jnp.zeros(n, jnp.int32), 4, share)
  changed = np.mean(np.asarray(labels) != 0)
  assert abs(changed - share * 3 / 4) < 5 * (0.25 / n) ** 0.5
  assert share == 0 or set(np.unique(labels)) == {0, 1, 2, 3}


def test_label_noise_leaves_the_test_labels_and_the_inputs_alone():
  clean, loud = (data.modular(p=11, label_noise=share).draw(KEY) for share in (0.0, 0.5))
  np.testing.assert_array_equal(clean.train.x, loud.train.x)
  np.testing.assert_array_equal(clean.test.y, loud.test.y)
  assert 0.2 < np.mean(clean.train.y != loud.train.y) < 0.7
