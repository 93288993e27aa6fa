"""Text as bytes, each labelled with the byte that follows it: what a language model learns from, without a download."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import trees
from dynamics.components import component
from dynamics.schema import Range
from dynamics.types import Array, Batch, Data, Task

TOPICS = 'topics'
BYTES = 256
HELD_OUT = 10  # the last tenth of a text is for testing


@component()
def text(
  *,
  source: str = TOPICS,
  length: Range(int, least=1) = 64,
  train: Range(int, least=1) = 1024,
  test: Range(int, least=1) = 256,
  fresh: Range(int, least=0) = 0,
) -> Task:
  """x: (n, l) bytes of a text, as tokens 0..255; y: (n, l), the byte that follows each of them.

  The last tenth of the text is for testing, the rest for training. Both are cut into windows of `length` positions, which do
  not overlap, and of these `train` and `test` are drawn at random.

  Args:
    source: 'topics', the help pages that come with Python, 460 kB of English, or the path of a file, read as bytes.
    length: l.
    train: windows of the training set.
    test: windows of the test set.
    fresh: windows that each step draws anew, from any place of the text for training; with 0 the steps draw from the training
      set, as `batch` says.

  Raises:
    FileNotFoundError: a file that is not there.
    ValueError: more windows asked for than there are.
  """
  content = np.frombuffer(read(source), np.uint8)
  cut = len(content) - len(content) // HELD_OUT
  parts = {'train': content[:cut], 'test': content[cut:]}
  for name, count in (('train', train), ('test', test)):
    most = (len(parts[name]) - 1) // length
    if count > most:
      raise ValueError(
        f'{name} is {count}, but the {len(parts[name]):,} bytes of {source} for it hold only {max(most, 0):,} windows of {length}'
      )

  def draw(key):
    def windows(name, count):
      places = jax.random.permutation(trees.named_key(key, name), (len(parts[name]) - 1) // length)
      return cut_out(parts[name], places[:count].astype(jnp.int32) * length, length)

    return Data(windows('train', train), windows('test', test))

  def batch(key, data, t):
    starts = jax.random.randint(jax.random.fold_in(key, t), (fresh,), 0, cut - length, jnp.int32)
    return cut_out(parts['train'], starts, length)

  return Task(draw, outputs=BYTES, vocabulary=BYTES, batch=batch if fresh else None)


def read(source: str) -> bytes:
  """The bytes of the help pages, in the order of their names, or of a file.

  Raises:
    FileNotFoundError: a file that is not there; the text says what else there is.
  """
  if source == TOPICS:
    from pydoc_data.topics import topics  # of use to this one data set

    return ''.join(topics[name] for name in sorted(topics)).encode()
  path = pathlib.Path(source).expanduser()
  if not path.is_file():
    raise FileNotFoundError(f'data.source is {source!r}, which is no file; it must be the path of a text, or {TOPICS!r}')
  return path.read_bytes()


def cut_out(content: np.ndarray, starts: Array, length: int) -> Batch:
  """The windows (n, l) that start at `starts` (n,), and the bytes one further."""
  places = starts[:, None] + jnp.arange(length + 1, dtype=jnp.int32)[None]
  windows = jnp.asarray(content)[places].astype(jnp.int32)
  return Batch(windows[:, :-1], windows[:, 1:])
