"""A run of `train.run` in a folder of its own: one .npz file with all arrays, and a sealed JSON file that names it.

save.json        what the run is, its step, the name and the sha256 of the file of arrays
step-<step>.npz  state, start and readings so far; written whole before save.json names it, and gone when that names the next
"""

import contextlib
import hashlib
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from dynamics import frames, sealed
from dynamics.frames import Log
from dynamics.types import Frozen, State

NAME = 'save.json'


def fingerprint(programs: Iterable[tuple[Callable, tuple]], parts: Mapping[str, Any]) -> dict[str, str]:
  """What tells a run from any other: digests of its programs, as they are traced, and of trees of arrays.

  Args:
    programs: functions with their arguments, or the shapes of these.
    parts: name -> arrays or plain values.
  """
  traced = [jax.make_jaxpr(function)(*arguments) for function, arguments in programs]
  study = [piece for closed in traced for piece in _pieces(closed)]
  return {'study': _digest(study), **{name: _tree_digest(tree) for name, tree in parts.items()}}


def read(
  folder: str | os.PathLike, about: Mapping[str, str], like: tuple[State, Frozen], log: Log
) -> tuple[int, State, Frozen] | None:
  """(step, state, frozen) as they were saved, every byte checked; None where nothing was. Makes the folder where there is none.

  Args:
    about: from `fingerprint`.
    like: shapes and dtypes of state and start.
    log: takes the readings up to that step.

  Raises:
    ValueError: another run, or one that is not as it was written.
    OSError: a folder that cannot be used.
  """
  folder = pathlib.Path(folder)
  with _faults(folder):
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / NAME).exists():
      return None
    try:
      notes = sealed.read(folder / NAME)
    except sealed.SealError as error:
      raise ValueError(f'{error}: remove {folder} to begin again') from error
    differing = [name for name in about if notes['about'].get(name) != about[name]]
    if differing:
      text = f'{folder} holds a run that differs in its {" and ".join(differing)}'
      raise ValueError(f'{text}: give save another folder, or remove this one to begin again')
    path = folder / notes['arrays']
    if not path.is_file() or _file_digest(path) != notes['sha256_of_arrays']:
      raise ValueError(f'{path} is missing or damaged: remove {folder} to begin again')
    with np.load(path, allow_pickle=False) as arrays:
      leaves = [arrays[f'leaf/{i}'] for i in range(notes['leaves'])]
      for probe, names in notes['columns'].items():
        log.rows[probe] = [{name: arrays[f'rows/{probe}/{name}'] for name in names}]
        log.shapes[probe] = {name: tuple(shape) for name, shape in notes['shapes'][probe].items()}
  kinds, treedef = jax.tree.flatten(like)
  # numpy stores bfloat16 and its kin as bytes without a type.
  state, frozen = jax.tree.unflatten(treedef, [leaf.view(kind.dtype) for leaf, kind in zip(leaves, kinds, strict=True)])
  return notes['step'], state, frozen


def write(folder: str | os.PathLike, about: Mapping[str, str], event: 'Event', log: Log) -> None:  # noqa: F821
  """Saves the state of an event of `dynamics.train` and all readings; a kill at any moment leaves this save or the one before it.

  Raises:
    OSError: a disk that is full or shut.
  """
  folder = pathlib.Path(folder)
  leaves = jax.device_get(jax.tree.leaves((event.state, event.frozen)))
  columns = {probe: frames.joined(series) for probe, series in log.rows.items()}
  arrays = {f'leaf/{i}': leaf for i, leaf in enumerate(leaves)}
  arrays |= {f'rows/{probe}/{name}': column for probe, table in columns.items() for name, column in table.items()}
  path = folder / f'step-{event.step:09d}.npz'
  notes = {
    'about': dict(about),
    'step': event.step,
    'leaves': len(leaves),
    'columns': {probe: list(table) for probe, table in columns.items()},
    'shapes': log.shapes,
    'arrays': path.name,
  }
  with _faults(folder):
    with _whole(path) as file:
      np.savez(file, **arrays)
    with _whole(folder / NAME) as file:
      file.write(sealed.sealed({**notes, 'sha256_of_arrays': _file_digest(path)}).encode())
    for other in folder.glob('step-*.npz'):
      if other != path:
        other.unlink()


@contextlib.contextmanager
def _whole(path: pathlib.Path) -> Iterator[BinaryIO]:
  """A file whose name appears only when all of its bytes are on disk."""
  temporary = path.with_suffix('.tmp')
  try:
    with temporary.open('wb') as file:
      yield file
      file.flush()
      os.fsync(file.fileno())
    temporary.rename(path)
  finally:
    temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _faults(folder: pathlib.Path) -> Iterator[None]:
  try:
    yield
  except OSError as error:
    raise OSError(error.errno, f'save: {folder} cannot be used ({error.strerror}): mend it, or give another folder') from error


def _file_digest(path: pathlib.Path) -> str:
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def _bytes(leaf) -> bytes:
  if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
    leaf = jax.random.key_data(leaf)
  leaf = np.asarray(leaf)
  return f'{leaf.dtype}{leaf.shape}'.encode() + np.ascontiguousarray(leaf).tobytes()


def _pieces(value) -> Iterator[bytes]:
  """All that a jaxpr says, each inner one in its place. Its own text names what was traced once and used twice, so it depends on
  what jax holds in its caches."""
  match value:
    case core.ClosedJaxpr():
      yield from _pieces(value.jaxpr)
      yield from map(_bytes, value.consts)
    case core.Jaxpr():
      number = {}
      name = lambda v: f'{v}' if isinstance(v, core.Literal) else f'{number.setdefault(v, len(number))}'
      line = lambda atoms: ' '.join(f'{name(v)}:{v.aval}' for v in atoms).encode()
      yield line([*value.constvars, *value.invars])
      for eqn in value.eqns:
        yield line(eqn.invars) + f' {eqn.primitive} '.encode() + line(eqn.outvars)
        for key in sorted(eqn.params):
          yield key.encode()
          yield from _pieces(eqn.params[key])
      yield line(value.outvars)
    case tuple() | list():
      yield f'{len(value)}'.encode()
      for entry in value:
        yield from _pieces(entry)
    case _:
      yield re.sub(r' at 0x[0-9a-f]+', '', str(value)).encode()  # where a function stands in memory is no part of what it does


def _tree_digest(tree) -> str:
  return _digest([repr(jax.tree.structure(tree)).encode(), *map(_bytes, jax.tree.leaves(tree))])


def _digest(pieces: list[bytes]) -> str:
  return hashlib.sha256(b'\0'.join(pieces)).hexdigest()
