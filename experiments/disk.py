"""Faults of a disk as sentences, and sealed JSON files that are whole or not there."""

import contextlib
import errno
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from dynamics import sealed

SPARE = 2**16  # bytes beside the arrays that a checkpoint takes
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_WORDS = ('No space left', 'RESOURCE_EXHAUSTED', 'Disk quota', 'File too large')  # where orbax and duckdb hide the number
SHUT_WORDS = ('Read-only file system', 'Permission denied', 'Not a directory')


class StoreError(RuntimeError):
  """A sentence about the disk, the lock or a stored run."""


class Held(StoreError):
  """Another process works on a run; `holder` says which."""

  def __init__(self, folder: pathlib.Path | str, holder: str):
    super().__init__(f'{folder} is being worked on by another process ({holder}): wait for it or stop it.')
    self.holder = holder


class Damage(Exception):
  """A stored file whose bytes are not those that were saved."""


@contextlib.contextmanager
def faults(folder: pathlib.Path) -> Iterator[None]:
  """Turns the faults of a disk into sentences."""
  try:
    yield
  except StoreError:
    raise
  except Exception as error:
    number, text = getattr(error, 'errno', None), str(error)
    if number in FULL or any(words in text for words in FULL_WORDS):
      raise StoreError(f'the disk of {folder} is full: free some space and give the same command again to go on.') from error
    if isinstance(error, TimeoutError):
      way = 'the disk is slow, or the clock of this machine has jumped; give the same command again to go on'
      raise StoreError(f'{folder} was not written in time ({text.rstrip(".")}): {way}.') from error
    if isinstance(error, OSError) or any(words in text for words in SHUT_WORDS):
      reason = getattr(error, 'strerror', None) or next((words for words in SHUT_WORDS if words in text), text)
      raise StoreError(f'{folder} cannot be used ({reason}): mend it, or choose another folder with --out.') from error
    raise


def check_space(folder: pathlib.Path, arrays) -> None:
  """Before anything is written: a disk that fills up half-way costs more than a look."""
  needed, free = sum(array.nbytes for array in arrays) + SPARE, shutil.disk_usage(folder).free
  if free < needed:
    raise OSError(errno.ENOSPC, f'{needed} bytes are needed and {free} free')


def used(folder: pathlib.Path) -> int:
  """Bytes of the files in a folder and below. Another process may work there: what goes meanwhile is not counted."""
  total = 0
  for place, _, names in os.walk(folder):  # which passes over folders that go
    for name in names:
      with contextlib.suppress(FileNotFoundError):
        total += os.stat(os.path.join(place, name)).st_size
  return total


def read_json(path: pathlib.Path) -> dict[str, Any]:
  """A sealed JSON file as it was written.

  Raises:
    StoreError: one that is missing, cut short, edited, or no block of fields.
  """
  try:
    return sealed.read(path)
  except sealed.SealError as error:
    raise StoreError(f'{error}: remove it and give the same command again to go on.') from error


def write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
  """Whole or not at all, with a digest of itself."""
  temporary = path.with_suffix('.tmp')
  with faults(path.parent):
    try:
      with temporary.open('w', encoding='utf-8') as file:
        file.write(sealed.sealed(content))
        file.flush()
        os.fsync(file.fileno())
      temporary.rename(path)
    finally:
      temporary.unlink(missing_ok=True)
    sync(path.parent)


def sync(folder: pathlib.Path) -> None:
  """Makes the names in a folder durable."""
  handle = os.open(folder, os.O_RDONLY)
  try:
    os.fsync(handle)
  finally:
    os.close(handle)


def reason(error: Exception) -> str:
  """The first line of an error, cut where a library tells its whole story."""
  return str(error).splitlines()[0][:160] if str(error) else type(error).__name__
