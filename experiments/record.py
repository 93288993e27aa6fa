"""run.json: what the bits of a run depend on beside its config, and every command that worked on it."""

import pathlib
import platform
import shutil
import subprocess
import time

from experiments.disk import read_json, write_json


def surroundings(grid) -> dict:
  """What the bits of a run depend on beside its config."""
  import flax
  import jax
  import jaxlib
  import optax

  return {
    'versions': {
      'python': platform.python_version(),
      **{m.__name__: m.__version__ for m in (jax, jaxlib, flax, optax)},
    },
    'device': f'{grid.devices.flat[0].device_kind}',
    'mesh': dict(grid.shape),
  }


def note(folder: pathlib.Path, cell, now: dict, command: str, say) -> None:
  """Writes run.json, or adds this command to it; says where bits may differ from those already there."""
  path = folder / 'run.json'
  session = {**now, 'git': git_state(), 'command': command, 'at': time.strftime('%Y-%m-%dT%H:%M:%S%z')}
  if path.is_file():
    record = read_json(path)
    changed = [k for k in now if record['sessions'][0][k] != now[k]]
    if changed:
      say(f'  {" and ".join(changed)} changed since this run began: it goes on, but equals an unbroken run only to rounding')
    record['sessions'].append(session)
  else:
    members = {'seeds': cell.seeds, 'hyper': cell.hyper}
    record = {'config': cell.config, **members, 'swept': cell.swept, 'revisions': cell.revisions, 'sessions': [session]}
  write_json(path, record)


def is_there(folder: pathlib.Path) -> bool:
  """Whether run.json is there, as it was written.

  Raises:
    StoreError: it is there and is not.
  """
  path = folder / 'run.json'
  return path.is_file() and bool(read_json(path))


def git_state() -> str:
  """The commit of the code, with '+' where the tree has changes; 'unknown' where the code is not in a repository of its own."""
  here = pathlib.Path(__file__).parent
  ask = lambda *words: subprocess.run(['git', *words], cwd=here, capture_output=True, text=True, check=False)
  if shutil.which('git') is None:
    return 'unknown'
  root = ask('rev-parse', '--show-toplevel')
  if root.returncode or pathlib.Path(root.stdout.strip()).resolve() != here.parent.resolve():
    return 'unknown'
  commit = ask('rev-parse', '--short=12', 'HEAD')
  if commit.returncode:
    return 'unknown'
  return commit.stdout.strip() + ('+' if ask('status', '--porcelain').stdout.strip() else '')
