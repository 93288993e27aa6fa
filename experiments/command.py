"""What all command lines share: standard output that may be closed, broken or full, and folders named by a user."""

import errno
import os
import pathlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from dynamics.schema import ConfigError

PATIENCE = 5.0  # seconds in which threads of a library may end, after the command's own work


class Output:
  """Standard output that falls silent where it cannot be written, so that work goes on. `fault` is then the first error."""

  def __init__(self, stream):
    self._stream, self.fault = stream, None

  def write(self, text: str) -> int:
    return self._attempt(lambda: self._stream.write(text)) or len(text)

  def flush(self) -> None:
    self._attempt(self._stream.flush)

  def isatty(self) -> bool:
    return self._stream.isatty()

  def __getattr__(self, name):
    return getattr(self._stream, name)

  def _attempt(self, action):
    try:
      return action()
    except OSError as error:
      self.fault = self.fault or error
      null = os.open(os.devnull, os.O_WRONLY)
      os.dup2(null, self._stream.fileno())  # what is still buffered goes nowhere, too
      os.close(null)
      return None


def run(main: Callable[[Sequence[str]], int], argv: Sequence[str]) -> int:
  """The exit status of a command, whatever its standard output does; ends the process where a library would keep it.

  A reader that leaves early, as `head` does, is no mistake. A full disk is one: it is told when the work is done.
  """
  if sys.stdout is None:  # closed by the shell: the number of its file must not become that of another one
    sys.stdout = open(os.devnull, 'w')  # noqa: SIM115
  sys.stdout = output = Output(sys.stdout)
  status = main(argv)
  output.flush()
  if output.fault is not None and output.fault.errno != errno.EPIPE:
    print(f'error: standard output cannot be written ({output.fault.strerror}); the rest of it is lost.', file=sys.stderr)
    status = status or 2
  if _stays():
    sys.stderr.flush()
    os._exit(status)
  return status


def refused(error: object) -> int:
  """Says in one line on standard error why a command cannot go on; the exit status of a mistake."""
  print('error:', ' '.join(str(error).split()), file=sys.stderr)
  return 2


def _stays() -> bool:
  """Whether threads outlive the work by more than a while: orbax's wait many minutes for a save that has failed."""
  end, mine = time.monotonic() + PATIENCE, (threading.main_thread(), threading.current_thread())
  others = [thread for thread in threading.enumerate() if not thread.daemon and thread not in mine]
  while any(thread.is_alive() for thread in others):
    if time.monotonic() > end:
      return True
    time.sleep(0.02)
  return False


def folder(flag: str, text: str) -> pathlib.Path:
  """A folder of this machine; `~` is the user's own.

  Raises:
    ConfigError: no name, or an address of another machine.
  """
  if not text:
    raise ConfigError(f'{flag} needs a value: {flag}=DIR.')
  if '://' in text:
    way = f'; to keep them at an address too, say --out=results --mirror={text}' if flag == '--out' else ''
    raise ConfigError(f'{flag} is {text!r}; it must be a folder of this machine, because runs are locked and synced there{way}.')
  try:
    return pathlib.Path(text).expanduser()
  except RuntimeError as error:
    raise ConfigError(f'{flag} is {text!r}, and there is no such user.') from error


def fetch(address: str, cells: Iterable, out: pathlib.Path) -> None:
  """Brings the runs of cells from a mirror into a folder of results; nothing where no address is given.

  Raises:
    ConfigError, StoreError: an address that cannot be used, or a mirror that does not answer.
  """
  if address:
    from dynamics.plan import identity
    from experiments import mirror  # with orbax, which takes seconds

    mirror.fetch(address, map(identity, cells), out, lambda text: print(text, file=sys.stderr))
