"""Bytes at an address beyond this machine: gs://, s3://, file://, memory:// or what else fsspec knows.

The only module that knows fsspec. Nothing here trusts a listing, and every fault of a store is a `RemoteError`.
"""

import contextlib
import errno
import hashlib
import importlib
import os
import pathlib
import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from dynamics.schema import ConfigError
from experiments.disk import Damage, reason

THREADS = 8  # objects that go up or down at a time
SLOWEST = 100_000  # bytes a second; a store that is slower does not answer
FOLDERS = ('file', 'local', 'sftp', 'ssh', 'smb', 'hdfs')  # protocols where a folder must be there before its files
DISKS = ('file', 'local')  # protocols of this machine's own files, where a write is not there at once
EXCLUSIVE = ('memory', 's3', 's3a', 'gs', 'gcs')  # protocols where an object is created by one writer alone
PACKAGES = {'gs': 'gcsfs', 'gcs': 'gcsfs', 's3': 's3fs', 's3a': 's3fs'}  # those of the extra [mirror]


class RemoteError(Exception):
  """What a store refuses or does not answer. Its text has no full stop."""


class Remote(NamedTuple):
  """A store and a path in it."""

  address: str
  store: Any  # a filesystem of fsspec
  root: str
  limit: float  # seconds for an answer, beside the time of its bytes

  def read(self, name: str) -> bytes | None:
    """The bytes of an object; None where there is none."""
    try:
      return self._asked(lambda: self.store.cat_file(self._path(name)))
    except FileNotFoundError:
      return None

  def write(self, name: str, content: bytes) -> None:
    """Replaces an object by these bytes."""
    self._placed(name, lambda path: self.store.pipe_file(path, content))

  def create(self, name: str, content: bytes) -> bool:
    """The same, where there is no such object; else it is left. Gives whether the store lets one writer alone pass."""
    alone = _protocol(self.store) in EXCLUSIVE
    try:
      if alone:
        self._placed(name, lambda path: self.store.pipe_file(path, content, mode='create'))
        return True
    except RemoteError as error:
      alone = not _is_unknown(error.__cause__)  # some servers of S3 do not know the condition
      if alone and self.read(name) is None:  # it was no second writer that the store refused
        raise
    if not alone and self.read(name) is None:
      self.write(name, content)
    return alone

  def put(self, path: pathlib.Path, name: str) -> None:
    """Sends a file, and sees that the store has all of its bytes."""
    length = path.stat().st_size
    self._placed(name, lambda there: self.store.put_file(str(path), there), length)
    arrived = self._asked(lambda: self.store.info(self._path(name))['size'])
    if arrived != length:
      raise RemoteError(f'{arrived} of {length} bytes of an upload have arrived')

  def get(self, name: str, path: pathlib.Path, sha256: str) -> None:
    """Brings an object into a file.

    Raises:
      Damage: there is none, or it holds other bytes than those with this digest.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
      length = self._asked(lambda: self.store.info(self._path(name))['size'])
      self._asked(lambda: self.store.get_file(self._path(name), str(path)), length)
    except FileNotFoundError as error:
      raise Damage('it is missing') from error
    with path.open('rb') as file:
      if hashlib.file_digest(file, 'sha256').hexdigest() != sha256:
        raise Damage('its bytes are not those that were sent')

  def remove(self, name: str) -> None:
    """Removes an object, where there is one."""
    with contextlib.suppress(FileNotFoundError):
      self._asked(lambda: self.store.rm_file(self._path(name)))

  def _path(self, name: str) -> str:
    return f'{self.root}/{name}'

  def _placed(self, name: str, write: Callable[[str], Any], length: int = 0) -> None:
    """Writes to a path, whose folder is made first where the store has folders."""

    def do():
      path = self._path(name)
      if _protocol(self.store) in FOLDERS:
        self.store.makedirs(path.rpartition('/')[0], exist_ok=True)
      if _protocol(self.store) not in DISKS:
        write(path)
        return
      temporary = f'{path}.{os.getpid()}-{threading.get_ident()}.tmp'  # a reader must not see a part of it
      write(temporary)
      os.replace(temporary, path)

    try:
      self._asked(do, length)
    except FileNotFoundError as error:  # the bucket
      raise RemoteError(f'{self.address}: {reason(error)}') from error

  def _asked(self, work: Callable[[], Any], length: int = 0) -> Any:
    """What `work` gives, on `length` bytes; an answer that does not come in time is left alone.

    Raises:
      FileNotFoundError: there is no such object.
      RemoteError: any other fault.
    """
    limit, answer = self.limit + length / SLOWEST, []

    def do():
      try:
        answer.append((work(), None))
      except Exception as error:  # as many kinds as there are stores
        answer.append((None, error))

    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    thread.join(limit)
    if not answer:
      raise RemoteError(f'no answer in {limit:.3g} s')
    value, error = answer[0]
    if error is None or isinstance(error, FileNotFoundError):
      if error is not None:
        raise error
      return value
    raise RemoteError(reason(error).rstrip('.')) from error


def opened(address: str, limit: float) -> Remote:
  """The store at an address. Nothing is asked of it yet.

  Raises:
    ConfigError: no address, a protocol that is unknown, or one whose package is not installed.
  """
  protocol, colon, rest = address.partition('://')
  if not colon or not protocol or not rest.strip('/'):
    raise ConfigError(
      f'--mirror is {address!r}; it must be an address such as gs://bucket/path, s3://bucket/path or file:///path.'
    )
  try:
    fsspec = importlib.import_module('fsspec')
  except ImportError as error:
    raise ConfigError("--mirror needs the package fsspec, which is not installed: pip install -e '.[mirror]'.") from error
  try:
    store, root = fsspec.core.url_to_fs(address.rstrip('/'), use_listings_cache=False, skip_instance_cache=True)
  except ImportError as error:
    package, way = (
      PACKAGES.get(protocol, 'of its protocol'),
      "pip install -e '.[mirror]'" if protocol in PACKAGES else reason(error),
    )
    raise ConfigError(f'--mirror={address} needs the package {package}, which is not installed: {way}.') from error
  except ValueError as error:
    raise ConfigError(f'--mirror is {address!r}, and fsspec knows no such address ({reason(error)}).') from error
  except Exception as error:  # as many kinds as there are stores: credentials, options
    raise ConfigError(f'--mirror={address} cannot be used ({reason(error)}).') from error
  return Remote(address.rstrip('/'), store, root.rstrip('/'), limit)


def each(work: Callable[[Any], None], items: Iterable[Any]) -> None:
  """Does the work on all items, a few at a time; then raises the first error. A store that hangs keeps no process alive."""
  waiting, errors = queue.SimpleQueue(), []
  for item in items:
    waiting.put(item)

  def serve():
    while not errors:
      try:
        work(waiting.get_nowait())
      except queue.Empty:
        return
      except Exception as error:
        errors.append(error)

  threads = [threading.Thread(target=serve, daemon=True) for _ in range(min(THREADS, waiting.qsize()))]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  if errors:
    raise errors[0]


def _is_unknown(error: BaseException | None) -> bool:
  """Whether a store does not know what it was asked for."""
  return isinstance(error, NotImplementedError) or getattr(error, 'errno', None) == errno.ENOSYS


def _protocol(store: Any) -> str:
  return store.protocol if isinstance(store.protocol, str) else store.protocol[0]
