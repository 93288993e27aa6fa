"""Writes what starts a sweep on a cloud or a cluster; it starts nothing itself.

  python -m experiments.launch --target=slurm --config=configs/NAME.py --hosts=4 --time=12:00:00 --accelerator=gpu:1
  python -m experiments.launch --target=tpu --config=configs/NAME.py --mirror=gs://BUCKET/FOLDER --zone=us-west4-a \\
      --accelerator=v5litepod-8
  python -m experiments.launch --target=queued --config=configs/NAME.py --mirror=gs://BUCKET/FOLDER --zone=us-west4-a \\
      --accelerator=v5litepod-8 --hosts=4 --spot --dry_run
  python -m experiments.launch --target=gke --config=configs/NAME.py --mirror=gs://BUCKET/FOLDER --image=REGISTRY/lab:1 \\
      --accelerator=v6e-8 --hosts=4 --spot
  python -m experiments.launch --target=skypilot --config=configs/NAME.py --mirror=s3://BUCKET/FOLDER --accelerator=A100:1 \\
      --hosts=4 --spot

  --target NAME       tpu (TPU machines, made at once), queued (TPU machines that are waited for), gke, skypilot, slurm
  --config FILE       a config of this repository; several may be named, and --config.FIELD=VALUE changes the one before it
  --mirror ADDRESS    where results are kept; only Slurm, whose tasks share a disk, can do without
  --hosts N           machines that share the cells (default: those of one slice)
  --accelerator NAME  of each machine: v5litepod-8, A100:1 (skypilot), nvidia-l4:1 (gke), gpu:1 (slurm)
  --spot              machines that may vanish, for a lower price
  --retries N         further tries of a command that failed, on each host (default: 3)
  --save_every S      seconds between checkpoints (default: 60)
  --setup COMMAND     a shell command on each host before the lab is installed; several may be named
  --repository ADDRESS, --commit COMMIT   the code that hosts fetch (default: origin of this clone, and its HEAD)
  --name NAME         of jobs and machines (default: that of the first config)
  --zone, --project   of Google Cloud;  --image NAME of the container (gke);  --time, --partition of Slurm
  --to DIR            where the files are written (default: launches/NAME-TARGET); a file that differs is never overwritten
  --dry_run           show the files and the command, and write nothing
  --help              this text

Exit status: 0 done, 2 a mistake in what was asked: nothing is written then.
"""

import difflib
import pathlib
import re
import shlex
import sys
from collections.abc import Sequence

from dynamics.schema import ConfigError
from experiments import arguments, command
from experiments.launch import accelerators, gke, skypilot, slurm, sweep, tpu

TARGETS = {'tpu': tpu.direct, 'queued': tpu.queued, 'gke': gke.launch, 'skypilot': skypilot.launch, 'slurm': slurm.launch}
ONLY = {  # flag -> the targets that it is about
  'zone': ('tpu', 'queued', 'skypilot'),
  'project': ('tpu', 'queued'),
  'image': ('gke',),
  'time': ('slurm',),
  'partition': ('slurm',),
}
TEXTS = ('target', 'mirror', 'accelerator', 'repository', 'commit', 'name', 'to', 'hosts', 'retries', 'save_every', *ONLY)
SWITCHES = ('spot', 'dry_run')


def main(argv: Sequence[str]) -> int:
  """Exit status: see above."""
  if any(word in ('--help', '-h') for word in argv):
    print(__doc__)
    return 0
  try:
    given, runs, setup = parse(argv)
    description, launch = plan(given, runs, setup)
    folder = command.folder('--to', given.get('to', f'launches/{description.name}-{given["target"]}'))
    start = f'cd {shlex.quote(str(folder))} && {shlex.join(launch.start)}'
    if 'dry_run' in given:
      for name, text in launch.files.items():
        print(f'# ---- {folder / name}\n{text}')
    else:
      write(folder, launch.files)
  except ConfigError as error:
    return command.refused(error)
  print(f'{description.cells} cells on {description.hosts} hosts, of commit {description.commit[:12]}, which must be pushed')
  print(f'start with: {start}')
  return 0


def parse(argv: Sequence[str]) -> tuple[dict[str, str], list[list[str]], list[str]]:
  """Values of flags; the words of each config; setup commands."""
  given, runs, setup, early, words = {}, [], [], [], list(argv)
  flags = [f'--{name}' for name in ('config', 'setup', *TEXTS, *SWITCHES, 'help')]
  while words:
    flag, equals, value = words.pop(0).partition('=')
    name = flag.removeprefix('--')
    if name in SWITCHES and flag in flags:
      if equals:
        raise ConfigError(f'{flag} takes no value, but is given {value!r}.')
      given[name] = 'yes'
      continue
    if flag not in flags and not flag.startswith('--config.'):
      raise ConfigError(arguments.unknown(flag, flags))
    if not equals:
      if not words:
        raise ConfigError(f'{flag} needs a value: {flag}=VALUE.')
      value = words.pop(0)
    if name == 'config':
      runs.append([f'--config={value}', *early])
      early = []
    elif name.startswith('config.'):
      (runs[-1] if runs else early).append(f'{flag}={value}')
    elif name == 'setup':
      setup.append(value)
    elif name in given:
      raise ConfigError(f'{flag} is given twice: {given[name]!r} and {value!r}.')
    else:
      given[name] = value
  return given, runs, setup


def plan(given: dict[str, str], runs: list[list[str]], setup: list[str]) -> tuple[sweep.Sweep, sweep.Launch]:
  """The description of the sweep, and the files of its target."""
  target = given.get('target', '')
  if target not in TARGETS:
    near = difflib.get_close_matches(target, TARGETS, n=1, cutoff=0.0) if target else []
    nearest = f'; the nearest is {near[0]}' if near else ''
    raise ConfigError(f'--target is {target!r}; it must be one of {", ".join(TARGETS)}{nearest}.')
  for name, targets in ONLY.items():
    if name in given and target not in targets:
      raise ConfigError(f'--{name} means nothing to {target}; it is for {", ".join(targets)}.')
  if not runs:
    raise ConfigError('no config is named: add --config=configs/NAME.py.')
  cells = count(runs)
  files = [run[0].removeprefix('--config=') for run in runs]
  repository, commit, inside = sweep.place(files, given.get('repository', ''), given.get('commit', ''))
  name = given.get('name', re.sub('[^a-z0-9]+', '-', pathlib.Path(files[0]).stem.lower()).strip('-')[:30].strip('-'))
  hosts = accelerators.tpu(given.get('accelerator') or 'v5litepod-8').hosts if target in ('tpu', 'queued') else 1
  seconds = given.get('save_every', '60')
  if not re.fullmatch(r'\d+(\.\d+)?', seconds, re.ASCII):
    raise ConfigError(f'--save_every is {seconds!r}; it must be a number of seconds, at least 0.')
  description = sweep.Sweep(
    name=name,
    runs=tuple((f'--config={file}', *run[1:]) for file, run in zip(inside, runs, strict=True)),
    cells=cells,
    hosts=_number('hosts', given.get('hosts', str(hosts)), least=1),
    repository=repository,
    commit=commit,
    mirror=given.get('mirror', ''),
    accelerator=given.get('accelerator', ''),
    spot='spot' in given,
    retries=_number('retries', given.get('retries', '3'), least=0),
    save_every=seconds,
    setup=tuple(setup),
    **{name: given.get(name, '') for name in ONLY},
  )
  sweep.check(description)
  return description, TARGETS[target](description)


def count(runs: list[list[str]]) -> int:
  """The cells of the config that has most, which is how many hosts can share."""
  from experiments import config  # after --help, which needs no jax

  return max(len(config.read(run)[0]) for run in runs)


def _number(name: str, text: str, least: int) -> int:
  if not re.fullmatch(r'\d{1,5}', text, re.ASCII) or int(text) < least:
    raise ConfigError(f'--{name} is {text!r}; it must be a whole number, at least {least}.')
  return int(text)


def write(folder: pathlib.Path, files: dict[str, str]) -> None:
  """All files or none; one that is there already must say the same.

  Raises:
    ConfigError: a file that says something else, or a folder that cannot be written.
  """
  try:
    for name, text in files.items():
      path = folder / name
      if path.is_symlink() or (path.exists() and path.read_bytes() != text.encode()):
        raise ConfigError(f'{path} exists and says something else: remove it, or take another --to.')
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
      if not (folder / name).exists():
        with open(folder / name, 'x', encoding='utf-8', newline='\n') as file:
          file.write(text)
  except OSError as error:
    raise ConfigError(f'{folder} cannot be written: {error.strerror}.') from error
  print(f'wrote {", ".join(files)} in {folder}')


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv[1:]))
