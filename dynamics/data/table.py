"""Tables in CSV and Parquet files."""

import pathlib

import jax.numpy as jnp
import numpy as np

from dynamics.components import component
from dynamics.data.arrays import of_data, training_rows
from dynamics.data.split import split
from dynamics.schema import Range
from dynamics.types import Batch, Data, Task

READERS = {'.csv': 'read_csv', '.tsv': 'read_csv', '.parquet': 'read_parquet'}


@component(files=lambda *, file, **fields: [pathlib.Path(file).expanduser()])
def table(
  *,
  file: str,
  target: str,
  inputs: tuple[str, ...] = (),
  test: Range(float, above=0.0, below=1.0) = 0.2,
  standardise: bool = True,
) -> Task:
  """x: (n, d) floats, the columns `inputs`; y: labels (n,) where the target holds words or whole numbers, else (n, 1) floats.

  Labels are the target's values in rising order, 0 for the first. Columns of words are no inputs.

  Args:
    file: .csv or .tsv with a line of names, or .parquet.
    target: its column.
    inputs: columns; none are all others.
    test: the share of the rows, at random, that is set aside.
    standardise: takes the training rows' mean off every input, and divides by their standard deviation (where it is not 0).

  Raises:
    FileNotFoundError: no such file.
    ValueError: a column that is not there, an input that holds words, or cells without a number.
  """
  columns = read(pathlib.Path(file).expanduser())
  for name in (target, *inputs):
    if name not in columns:
      raise ValueError(f'{file} has no column {name!r}; there are: {", ".join(columns)}')
  chosen = inputs or tuple(name for name in columns if name != target)
  x = np.stack([_numbers(file, name, columns[name]) for name in chosen], axis=1)
  values = columns[target]
  if values.dtype.kind in 'OUSbiu':
    y = np.unique(values.astype(str) if values.dtype.kind == 'O' else values, return_inverse=True)[1].astype(np.int32)
  else:
    y = _numbers(file, target, values)[:, None]
  train = training_rows(len(y), test)

  def draw(key):
    data = split(key, Batch(jnp.asarray(x), jnp.asarray(y)), train)
    if not standardise:
      return data
    mean, std = jnp.mean(data.train.x, axis=0, keepdims=True), jnp.std(data.train.x, axis=0, keepdims=True)
    ready = lambda batch: batch._replace(x=(batch.x - mean) / jnp.where(std > 0, std, 1))
    return Data(ready(data.train), ready(data.test))

  whole = Batch(x, y)
  return of_data(Data(whole, whole))._replace(draw=draw)


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Column -> values.

  Raises:
    FileNotFoundError: no such file.
    ValueError: a file of another kind, or one that is damaged.
  """
  import duckdb  # slow to import, and of use to this one task

  if not path.is_file():
    raise FileNotFoundError(f'{path} is no file')
  reader = READERS.get(path.suffix.lower())
  if reader is None:
    raise ValueError(f'{path} is no table that can be read; its name must end in {", ".join(READERS)}')
  try:
    with duckdb.connect() as connection:
      pattern = ''.join(f'[{c}]' if c in '*?[' else c for c in str(path))  # duckdb expands these
      frame = connection.execute(f'SELECT * FROM {reader}(?)', [pattern]).fetchnumpy()
  except duckdb.Error as error:
    raise ValueError(f'{path} cannot be read: {str(error).splitlines()[0]}') from error
  return {name: _filled(path, name, values) for name, values in frame.items()}


def _filled(path: pathlib.Path, name: str, values: np.ndarray) -> np.ndarray:
  empty = int(np.ma.getmaskarray(values).sum())
  if empty:
    raise ValueError(f'column {name!r} of {path} has {empty} empty cells: fill them, or leave its rows out')
  return np.asarray(values)


def _numbers(file: str, name: str, values: np.ndarray) -> np.ndarray:
  if values.dtype.kind not in 'bfiu':
    raise ValueError(f'column {name!r} of {file} holds {values.dtype}, not numbers: name the columns of numbers in data.inputs')
  values = values.astype(np.float32)
  if not np.isfinite(values).all():
    raise ValueError(f'column {name!r} of {file} holds values that are no finite numbers')
  return values
