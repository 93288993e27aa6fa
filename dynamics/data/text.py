"""Text as tokens, each labelled with the one that follows it: what a language model learns from, without a download."""

import importlib.util
import inspect
import pathlib
from collections.abc import Callable

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


def files_of(*, source: str, tokeniser: str, **fields) -> list[pathlib.Path]:
  """The text, and the source of a tokeniser."""
  path = importlib.util.find_spec('pydoc_data.topics').origin if source == TOPICS else source
  functions = [] if tokeniser == 'bytes' else [named(tokeniser)]
  return [pathlib.Path(path).expanduser(), *(pathlib.Path(inspect.getsourcefile(function)) for function in functions)]


@component(files=files_of)
def text(
  *,
  source: str = TOPICS,
  tokeniser: str = 'bytes',
  length: Range(int, least=1) = 64,
  train: Range(int, least=1) = 1024,
  test: Range(int, least=1) = 256,
  fresh: Range(int, least=0) = 0,
) -> Task:
  """x: (n, l) tokens of a text, by default its bytes, 0..255; y: (n, l), the token that follows each of them.

  The last tenth of the text is for testing, the rest for training. Both are cut into windows of `length` positions, which do
  not overlap, and of these `train` and `test` are drawn at random.

  Args:
    source: 'topics', the help pages that come with Python, 460 kB of English, or the path of a file.
    tokeniser: 'bytes', or 'package.module:name', a function of the text (a str) that gives a sequence of tokens 0, 1, ...
    length: l.
    train: windows of the training set.
    test: windows of the test set.
    fresh: windows that each step draws anew, from any place of the text for training; with 0 the steps draw from the training
      set, as `batch` says.

  Raises:
    FileNotFoundError: a file that is not there.
    ValueError: more windows asked for than there are; a tokeniser that is none.
  """
  content, vocabulary = encoded(read(source), tokeniser)
  cut = len(content) - len(content) // HELD_OUT
  parts = {'train': content[:cut], 'test': content[cut:]}
  for name, count in (('train', train), ('test', test)):
    most = (len(parts[name]) - 1) // length
    if count > most:
      raise ValueError(
        f'{name} is {count}, but the {len(parts[name]):,} tokens of {source} for it hold only {max(most, 0):,} windows '
        f'of {length}'
      )

  def draw(key):
    def windows(name, count):
      places = jax.random.permutation(trees.named_key(key, name), (len(parts[name]) - 1) // length)
      return cut_out(parts[name], places[:count].astype(jnp.int32) * length, length)

    return Data(windows('train', train), windows('test', test))

  def batch(key, data, t):
    starts = jax.random.randint(jax.random.fold_in(key, t), (fresh,), 0, cut - length, jnp.int32)
    return cut_out(parts['train'], starts, length)

  return Task(draw, outputs=vocabulary, vocabulary=vocabulary, batch=batch if fresh else None)


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


def encoded(content: bytes, tokeniser: str) -> tuple[np.ndarray, int]:
  """The tokens (n,) of a text, and the size of their vocabulary.

  Raises:
    ValueError: a tokeniser that does not import, or that gives other things than whole numbers from 0 on.
  """
  if tokeniser == 'bytes':
    return np.frombuffer(content, np.uint8), BYTES
  tokens = np.asarray(named(tokeniser)(content.decode(errors='replace')))
  if tokens.ndim != 1 or not len(tokens) or not np.issubdtype(tokens.dtype, np.integer) or tokens.min() < 0:
    raise ValueError(f'data.tokeniser {tokeniser} gives {tokens.dtype}{tokens.shape}; it must give whole numbers from 0 on, (n,)')
  return tokens.astype(np.int32), 1 + int(tokens.max())


def named(tokeniser: str) -> Callable:
  """The function of a name 'package.module:name'."""
  module, colon, name = tokeniser.partition(':')
  if not colon:
    raise ValueError(f"data.tokeniser is {tokeniser!r}; it must be 'bytes' or the name of a function, 'package.module:name'")
  try:
    return getattr(importlib.import_module(module), name)
  except (ImportError, AttributeError) as error:
    raise ValueError(f'data.tokeniser {tokeniser} does not import: {error}') from error


def cut_out(content: np.ndarray, starts: Array, length: int) -> Batch:
  """The windows (n, l) that start at `starts` (n,), and the bytes one further."""
  places = starts[:, None] + jnp.arange(length + 1, dtype=jnp.int32)[None]
  windows = jnp.asarray(content)[places].astype(jnp.int32)
  return Batch(windows[:, :-1], windows[:, 1:])
