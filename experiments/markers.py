"""Where a run stands, from its markers alone: what a look at many runs needs, without jax and orbax."""

import os
import pathlib
import re
import socket
from typing import Any

from experiments.disk import read_json


def steps(folder: pathlib.Path) -> list[int]:
  """The steps of the checkpoints in a folder, the newest first."""
  return sorted((int(path.name) for path in folder.glob('*') if path.name.isdigit()), reverse=True)


def holder(folder: pathlib.Path) -> int | None:
  """The process that works on a run; None where none does. The lock itself is left alone, so that nobody is kept out.

  Whether a process of another host lives cannot be seen from here: it counts until somebody takes the run over.
  """
  try:
    number, host = re.fullmatch(r'pid (\d+)(?: on (.*))?', (folder / 'lock').read_text()).groups()
    if host not in (None, socket.gethostname()):
      return int(number)
    os.kill(int(number), 0)
  except PermissionError:  # it lives, and is another user's
    return int(number)
  except (OSError, ValueError, AttributeError):
    return None
  files = pathlib.Path('/proc', number, 'fd')
  try:  # another process may have got the number of one that is gone
    held = any(_is(handle, folder / 'lock') for handle in files.iterdir())
  except OSError:  # no such folder on this system, or not ours
    held = True
  return int(number) if held else None


def _is(handle: pathlib.Path, path: pathlib.Path) -> bool:
  try:
    return handle.samefile(path)
  except OSError:
    return False


def is_done(folder: pathlib.Path) -> bool:
  """Whether the training of a run is done."""
  return (folder / 'done.json').is_file()


def read_done(folder: pathlib.Path) -> dict[str, Any]:
  """The done-marker of a run's training: its last step, members that diverged, seconds.

  Raises:
    StoreError: a marker that is not as it was written.
  """
  return read_json(folder / 'done.json')
