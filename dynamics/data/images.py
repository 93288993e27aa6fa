"""Images of objects and digits: scikit-learn's own, and published files that lie on the user's disk."""

import gzip
import io
import os
import pathlib
import pickle
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import trees
from dynamics.components import component
from dynamics.data.split import noisy, split
from dynamics.schema import Range, Traced
from dynamics.types import Batch, Data, Task

FOLDER = 'DYNAMICS_DATA'  # the environment variable with the folder that holds mnist/, fashion_mnist/, cifar10/
IDX = ('train-images-idx3-ubyte', 'train-labels-idx1-ubyte', 't10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte')
CIFAR = (*(f'data_batch_{i}' for i in range(1, 6)), 'test_batch')

Source = Literal['digits', 'mnist', 'fashion_mnist', 'cifar10']
Labels = Literal['classes', 'parity', 'halves']
CLASSES = {'classes': 10, 'parity': 2, 'halves': 2}


def files_of(*, source: str, **fields) -> list[pathlib.Path]:
  """The files of a published data set, in the order in which they are read.

  Raises:
    FileNotFoundError: some are missing; the text names folder, files and variable.
  """
  if source == 'digits':
    return []
  folder = pathlib.Path(os.environ.get(FOLDER, 'data')) / source
  wanted = CIFAR if source == 'cifar10' else IDX
  paths = [next((p for p in (folder / w, folder / f'{w}.gz') if p.is_file()), None) for w in wanted]
  missing = [w for w, p in zip(wanted, paths, strict=True) if p is None]
  if missing:
    raise FileNotFoundError(
      f'{source} needs the files {", ".join(wanted)} (plain or .gz) in {folder}, where {", ".join(missing)} '
      f'{"is" if len(missing) == 1 else "are"} missing; the environment variable {FOLDER} names the folder above {source}'
    )
  return paths


@component(files=files_of)
def images(
  *,
  source: Source = 'digits',
  train: Range(int, least=1) = 1437,
  test: Range(int, least=1) = 360,
  flat: bool = True,
  labels: Labels = 'classes',
  label_noise: Traced(least=0.0, most=1.0) = 0.0,
) -> Task:
  """x: (n, d) floats, or (n, height, width, channels) unless `flat`; y: (n,) labels 0..9.

  With labels 'parity' y is 1 for the odd classes, and with 'halves' for 5 and above; both are for one output, so for the
  hinge loss. `label_noise` then redraws from the two.
  Pixels are scaled to 0..1, then the training rows' mean is taken off and their overall standard deviation divided out.
  Digits are 8 x 8 and split at random; the others keep their published split, from which rows are drawn at random.
  MNIST and Fashion-MNIST are read from their four IDX files (plain or .gz), CIFAR-10 from its python batches, in the
  folder `$DYNAMICS_DATA/<name>`.

  Raises:
    FileNotFoundError: files that are not there; the text names folder, files and variable.
    ValueError: more rows asked for than there are.
  """
  seen, unseen = load(source)
  pooled = unseen is None
  rows = len(seen[1])
  if pooled and train + test > rows:
    raise ValueError(f'{source} has {rows} images; train {train} and test {test} are more')
  if not pooled and (train > rows or test > len(unseen[1])):
    raise ValueError(f'{source} has {rows} and {len(unseen[1])} images; train is {train} and test {test}')

  relabel = {'classes': lambda y: y, 'parity': lambda y: y % 2, 'halves': lambda y: (y >= 5).astype(jnp.int32)}[labels]

  def draw(key):
    if pooled:
      data = split(key, _batch(seen), train)
      data = Data(data.train, jax.tree.map(lambda x: x[:test], data.test))
    else:
      data = Data(
        split(trees.named_key(key, 'train'), _batch(seen), train).train,
        split(trees.named_key(key, 'test'), _batch(unseen), test).train,
      )
    mean = jnp.mean(data.train.x, axis=0, keepdims=True)
    std = jnp.std(data.train.x - mean)
    ready = lambda x: ((x - mean) / std).reshape((x.shape[0], -1) if flat else x.shape)
    seen_y = noisy(key, relabel(data.train.y), CLASSES[labels], label_noise)
    return Data(Batch(ready(data.train.x), seen_y), Batch(ready(data.test.x), relabel(data.test.y)))

  return Task(draw, outputs=10 if labels == 'classes' else 1)


def load(name: str) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray] | None]:
  """(images (n, height, width, channels) uint8-like, labels (n,)) of the training and the test files, or one pool."""
  if name == 'digits':
    from sklearn.datasets import load_digits  # slow to import, and of use to this one data set

    raw = load_digits()
    return ((raw.images * (255 / 16))[..., None], raw.target), None
  files = files_of(source=name)
  if name == 'cifar10':
    batches = [_cifar(path) for path in files]
    join = lambda parts: tuple(np.concatenate(p) for p in zip(*parts, strict=True))
    return join(batches[:5]), batches[5]
  x, y, x_test, y_test = (_idx(path) for path in files)
  return (x[..., None], y), (x_test[..., None], y_test)


def _batch(pair) -> Batch:
  x, y = pair
  return Batch(jnp.asarray(x / 255, jnp.float32), jnp.asarray(y, jnp.int32))


def _read(path: pathlib.Path) -> bytes:
  try:
    with gzip.open(path) if path.suffix == '.gz' else path.open('rb') as file:
      return file.read()
  except EOFError as error:
    raise ValueError(f'{path} is cut short') from error


def _idx(path: pathlib.Path) -> np.ndarray:
  """The IDX format: two zero bytes, a type (8: unsigned byte), the number of axes, their lengths, the bytes."""
  raw = _read(path)
  if len(raw) < 4 or raw[:3] != b'\0\0\x08':
    raise ValueError(f'{path} is no IDX file of bytes')
  axes = raw[3]
  shape = tuple(np.frombuffer(raw[4 : 4 + 4 * axes].ljust(4 * axes, b'\0'), '>u4').astype(int))
  if len(raw) != 4 + 4 * axes + np.prod(shape):
    raise ValueError(f'{path} is cut short: its header promises {shape}')
  return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


ARRAY = {'_reconstruct', 'ndarray', 'dtype', 'scalar'}  # all that a pickled numpy array calls


class _Plain(pickle.Unpickler):
  """Reads arrays, bytes and lists; a pickle that asks for anything else is refused, because it could run anything."""

  def find_class(self, module, name):
    if (module.split('.')[0] == 'numpy' and name in ARRAY) or (module, name) == ('_codecs', 'encode'):
      return super().find_class(module, name)
    raise pickle.UnpicklingError(f'{module}.{name} has no place in a CIFAR-10 batch')


def _cifar(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
  batch = _Plain(io.BytesIO(_read(path)), encoding='bytes').load()
  x = np.asarray(batch[b'data'], np.uint8).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
  return x, np.asarray(batch[b'labels'])
