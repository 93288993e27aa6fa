"""Images: files in their published format, written by the test and read back."""

import gzip
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import data
from dynamics.data.images import CIFAR, IDX, load

KEY = jax.random.key(0, impl='threefry2x32')
rng = np.random.default_rng(7)


def idx(array):
  """Two zero bytes, 8 for unsigned bytes, the number of axes, their lengths, the bytes."""
  lengths = b''.join(int(n).to_bytes(4, 'big') for n in array.shape)
  return bytes([0, 0, 8, array.ndim]) + lengths + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path, monkeypatch):
  monkeypatch.setenv('DYNAMICS_DATA', str(tmp_path))
  return tmp_path


def write_idx(folder, name, suffix=''):
  arrays = [rng.integers(0, 256, (n, 28, 28)) if kind else np.arange(n) % 10 for n in (30, 20) for kind in (1, 0)]
  (folder / name).mkdir(exist_ok=True)
  for file, array in zip(IDX, arrays, strict=True):
    raw = idx(array)
    (folder / name / f'{file}{suffix}').write_bytes(gzip.compress(raw) if suffix else raw)
  return arrays


@pytest.mark.parametrize(('name', 'suffix'), [('mnist', ''), ('fashion_mnist', '.gz')])
def test_idx_files_are_read_as_published(folder, name, suffix):
  x, y, x_test, y_test = write_idx(folder, name, suffix)
  train, test = load(name)
  for (read, labels), (pixels, wanted) in ((train, (x, y)), (test, (x_test, y_test))):
    np.testing.assert_array_equal(read, pixels[..., None])
    np.testing.assert_array_equal(labels, wanted)
  drawn = data.images(source=name, train=30, test=15, flat=False).draw(KEY)
  assert (drawn.train.x.shape, drawn.test.x.shape) == ((30, 28, 28, 1), (15, 28, 28, 1))
  # The rows are those of the file, each once and with its label.
  centred = x / 255 - (x / 255).mean(0)
  apart = np.abs(np.asarray(drawn.train.x)[:, None, ..., 0] - (centred / centred.std())[None]).max((2, 3))
  assert sorted(apart.argmin(1)) == list(range(30))
  assert apart.min(1).max() < 1e-4
  np.testing.assert_array_equal(y[apart.argmin(1)], drawn.train.y)


def test_missing_files_are_named_with_their_folder_and_variable(folder):
  write_idx(folder, 'mnist')
  (folder / 'mnist' / IDX[1]).unlink()
  with pytest.raises(FileNotFoundError) as caught:
    data.images(source='mnist')
  for part in (str(folder / 'mnist'), 'DYNAMICS_DATA', *IDX, f'{IDX[1]} is missing'):
    assert part in str(caught.value)


@pytest.mark.parametrize('suffix', ['', '.gz'])
@pytest.mark.parametrize('spoil', [lambda raw: raw[:-5], lambda raw: raw[:6], lambda raw: b'\0\0\x0d' + raw[3:]])
def test_a_broken_idx_file_is_named(folder, spoil, suffix):
  write_idx(folder, 'mnist', suffix)
  path = folder / 'mnist' / f'{IDX[0]}{suffix}'
  raw = spoil(gzip.decompress(path.read_bytes()) if suffix else path.read_bytes())
  path.write_bytes(gzip.compress(raw) if suffix else raw)
  with pytest.raises(ValueError, match=path.name):
    data.images(source='mnist', train=5, test=5)


def test_a_download_that_stopped_halfway_is_named(folder):
  write_idx(folder, 'mnist', '.gz')
  path = folder / 'mnist' / f'{IDX[0]}.gz'
  path.write_bytes(path.read_bytes()[:-100])
  with pytest.raises(ValueError, match=path.name):
    data.images(source='mnist', train=5, test=5)


def write_cifar(folder, change=lambda raw: raw):
  """As the python batches on the web: protocol 2, byte keys, numpy's old module names."""
  (folder / 'cifar10').mkdir()
  parts = []
  for i, name in enumerate(CIFAR):
    pixels, labels = rng.integers(0, 256, (6, 3072)).astype(np.uint8), [(i + j) % 10 for j in range(6)]
    content = {b'batch_label': name.encode(), b'labels': labels, b'data': pixels, b'filenames': [b'a.png'] * 6}
    raw = pickle.dumps(content, protocol=2).replace(b'numpy._core.multiarray', b'numpy.core.multiarray')
    (folder / 'cifar10' / name).write_bytes(change(raw))
    parts.append((pixels, labels))
  return parts


def test_cifar_batches_are_read_as_published(folder):
  parts = write_cifar(folder)
  (x, y), (x_test, y_test) = load('cifar10')
  assert (x.shape, x_test.shape) == ((30, 32, 32, 3), (6, 32, 32, 3))
  assert y.tolist() == [label for _, labels in parts[:5] for label in labels]
  assert y_test.tolist() == parts[5][1]
  # A row is 1024 red, then 1024 green, then 1024 blue values, row by row.
  assert [x[7, 2, 5, c] for c in range(3)] == [parts[1][0][1, 1024 * c + 2 * 32 + 5] for c in range(3)]
  drawn = data.images(source='cifar10', train=20, test=6).draw(KEY)
  assert drawn.train.x.shape == (20, 3072)


class Malicious:
  def __reduce__(self):
    return print, ('run by a pickle',)


@pytest.mark.parametrize('what', [Malicious(), np.random.default_rng(0), pickle.loads])
def test_a_pickle_that_would_run_code_is_refused(folder, capsys, what):
  write_cifar(folder, lambda raw: pickle.dumps({b'data': what, b'labels': []}, protocol=2))
  with pytest.raises(pickle.UnpicklingError, match='has no place in a CIFAR-10 batch'):
    data.images(source='cifar10', train=1, test=1)
  assert capsys.readouterr().out == ''


def test_digits_are_normalised_by_their_training_rows():
  drawn = data.images(train=1000, test=700).draw(KEY)
  assert (drawn.train.x.shape, drawn.test.x.shape) == ((1000, 64), (700, 64))
  assert (drawn.train.x.dtype, drawn.train.y.dtype) == (jnp.float32, jnp.int32)
  np.testing.assert_allclose(np.mean(drawn.train.x, axis=0), 0, atol=1e-4)
  np.testing.assert_allclose(np.std(drawn.train.x), 1, rtol=1e-4)
  both = [row.tobytes() for part in (drawn.train, drawn.test) for row in np.asarray(part.x)]
  assert len(set(both)) == 1700
  assert set(np.unique(drawn.train.y)) == set(range(10))
  noise = data.images(train=1000, test=700, label_noise=0.5).draw(KEY)
  assert abs(np.mean(noise.train.y != drawn.train.y) - 0.45) < 5 * (0.25 / 1000) ** 0.5
  np.testing.assert_array_equal(noise.test.y, drawn.test.y)


@pytest.mark.parametrize(('source', 'train', 'test'), [('digits', 1437, 361), ('mnist', 31, 1), ('mnist', 1, 21)])
def test_more_rows_than_there_are_is_an_error(folder, source, train, test):
  write_idx(folder, 'mnist')
  with pytest.raises(ValueError, match='images; train'):
    data.images(source=source, train=train, test=test)
