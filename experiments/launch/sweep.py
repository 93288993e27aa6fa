"""The description of a sweep from which all launch files are made, and what of it is refused."""

import pathlib
import re
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from dynamics.schema import ConfigError

NAME = r'[a-z]([-a-z0-9]{0,28}[a-z0-9])?'  # what Google Cloud, Kubernetes and Slurm all take, with room for '-12-head'


class Sweep(NamedTuple):
  """All that the targets know of a sweep."""

  name: str  # of jobs and machines
  runs: tuple[tuple[str, ...], ...]  # a config each: its words for `experiments.run`, --config=FILE first
  cells: int  # of the config that has most
  hosts: int  # which share the cells
  repository: str  # from which a host fetches the code
  commit: str  # 40 digits
  mirror: str = ''  # the address to which results go
  accelerator: str = ''  # such as v5litepod-8; '' is the processor alone
  spot: bool = False  # machines that may vanish, for a lower price
  retries: int = 3  # of a command that failed, on each host
  save_every: str = '60'  # seconds
  setup: tuple[str, ...] = ()  # shell commands on each host, before the lab is installed
  zone: str = ''
  project: str = ''
  image: str = ''  # of containers
  time: str = ''  # the limit of a Slurm job
  partition: str = ''


class Launch(NamedTuple):
  """What a target needs."""

  files: dict[str, str]  # name -> text
  start: tuple[str, ...]  # the words of the command that starts the sweep, run in the folder of the files


def git(*words: str) -> str | None:
  """What git says here; None where it fails or is missing."""
  try:
    done = subprocess.run(['git', *words], capture_output=True, text=True, check=False)
  except OSError:
    return None
  return done.stdout.strip() if done.returncode == 0 else None


def place(files: Sequence[str], repository: str, commit: str) -> tuple[str, str, list[str]]:
  """Address and commit that hosts fetch, by default those of this clone, and the config files as that commit names them.

  Raises:
    ConfigError: no address, no such commit, or a config that is no part of it.
  """
  repository = repository or git('remote', 'get-url', 'origin') or ''
  if not repository:
    raise ConfigError('hosts fetch the code from a repository, and this clone has no remote: add --repository=ADDRESS.')
  if repository.startswith('-'):
    raise ConfigError(f'--repository is {repository!r}; it must be an address such as https://HOST/OWNER/NAME.git.')
  if re.match(r'[a-z+]+://[^/@]*:[^/@]*@', repository):
    raise ConfigError('--repository holds a password, which would be written into files: take an address without one.')
  top, digits = git('rev-parse', '--show-toplevel'), git('rev-parse', '--verify', '--quiet', f'{commit or "HEAD"}^{{commit}}')
  if top is None or digits is None:
    raise ConfigError(f'--commit is {commit or "HEAD"!r}, and there is no such commit in this folder.')
  inside = []
  for file in files:
    path = pathlib.Path(file).expanduser().resolve()
    name = str(path.relative_to(top)) if path.is_relative_to(top) else ''
    if not name or git('cat-file', '-e', f'{digits}:{name}') is None:
      raise ConfigError(f'{file} is no part of commit {digits[:12]}, so no host would find it: commit and push it first.')
    inside.append(name)
  return repository, digits, inside


def check(sweep: Sweep) -> None:
  """What is wrong for every target.

  Raises:
    ConfigError: in a sentence.
  """
  words = [word for run in sweep.runs for word in run]
  for text in (*words, sweep.repository, sweep.mirror, *sweep.setup, sweep.zone, sweep.project, sweep.image):
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
      raise ConfigError(f'{text!r} holds a line break or another control character, which no launch file can carry.')
  patterns = {
    '--name': (sweep.name, NAME, 'at most 30 small letters, digits and hyphens, a letter first and no hyphen last'),
    '--mirror': (sweep.mirror, r'([a-z][a-z0-9+.-]*://\S.*)?', 'an address such as gs://bucket/folder'),
    '--zone': (sweep.zone, r'[a-z0-9-]*', 'a zone such as us-west4-a'),
    '--project': (sweep.project, r'[a-z0-9:.-]*', 'the id of a project'),
    '--partition': (sweep.partition, r'[\w,.-]*', 'a partition, or several with commas'),
    '--time': (sweep.time, r'(\d+|\d+-\d+(:\d+){0,2}|\d+(:\d+){1,2})?', 'a time that Slurm takes, such as 12:00:00'),
    '--image': (sweep.image, r'([\w./:@-]+)?', 'the name of a container image'),
  }
  for flag, (text, pattern, meaning) in patterns.items():
    if not re.fullmatch(pattern, text, re.ASCII):
      raise ConfigError(f'{flag} is {text!r}; it must be {meaning}.')
  if sweep.hosts > sweep.cells:
    raise ConfigError(f'--hosts is {sweep.hosts}, but there are only {sweep.cells} cells to share: take at most {sweep.cells}.')


def check_cloud(sweep: Sweep) -> None:
  """What is wrong where hosts share no disk with this machine and theirs go when they go.

  Raises:
    ConfigError: no mirror, or code that lies on this machine.
  """
  if not sweep.mirror:
    kind = 'a spot machine may vanish at any moment' if sweep.spot else 'a machine of a cloud is deleted in the end'
    raise ConfigError(f'{kind}, and its disk with it: add --mirror=gs://BUCKET/FOLDER, where results are kept.')
  if sweep.mirror.partition('://')[0] in ('file', 'local', 'memory'):
    raise ConfigError(
      f'--mirror is {sweep.mirror!r}, which other machines do not see: take an address such as gs://bucket/folder.'
    )
  if not re.match(r'(?!file:)[a-z+]+://|[\w.-]+@[\w.-]+:', sweep.repository):
    raise ConfigError(f'--repository is {sweep.repository!r}, which lies on this machine: take an address that hosts reach.')
