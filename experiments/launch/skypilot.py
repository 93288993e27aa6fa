"""SkyPilot: one managed job a share, which is started again elsewhere when its machine is taken away."""

import re

from dynamics.schema import ConfigError
from experiments.launch import accelerators, manifest, shell
from experiments.launch.sweep import Launch, Sweep, check_cloud


def launch(sweep: Sweep) -> Launch:
  """A task and the commands that start and stop a job of it for every share.

  Raises:
    ConfigError: an accelerator that SkyPilot has no name for, or a slice of several hosts.
  """
  check_cloud(sweep)
  resources = {'use_spot': sweep.spot, 'job_recovery': {'max_restarts_on_errors': 0}, **_device(sweep)}
  if sweep.zone:
    resources['infra'] = f'gcp/*/{sweep.zone}'
  lab = f'LAB="${{SWEEPS:-$HOME/sweeps}}"/{sweep.name}/{sweep.commit[:12]}\n'
  task = {
    'name': sweep.name,
    'resources': resources,
    'envs': {'SHARE': f'1/{sweep.hosts}'},
    'setup': f'set -euo pipefail\n{lab}{shell.install(sweep)}install_lab\n',
    'run': f'set -euo pipefail\n{lab}cd "$LAB/code"\nPATH="$LAB/venv/bin:$PATH"\n{shell.share(sweep)}exit "$result"\n',
  }
  numbers = f'for ((share = 1; share <= {sweep.hosts}; share++)); do\n'
  start = f'sky jobs launch sweep.yaml --name="{sweep.name}-$share" --env="SHARE=$share/{sweep.hosts}" --yes --async'
  head = f'{shell.HEAD}set -euo pipefail\ncd "$(dirname "$0")"\n'
  return Launch(
    {
      'sweep.yaml': manifest.dump(task),
      'start.sh': f'{head}{numbers}  {start}\ndone\n',
      'stop.sh': f'{head}{numbers}  sky jobs cancel --name="{sweep.name}-$share" --yes || true\ndone\n',
    },
    ('bash', 'start.sh'),
  )


def _device(sweep: Sweep) -> dict:
  """The machine, in SkyPilot's words."""
  if not sweep.accelerator:
    return {'cpus': '4+'}
  if re.fullmatch(r'[A-Z][\w-]*(:[1-9]\d?)?', sweep.accelerator, re.ASCII):  # a GPU, such as A100:1
    return {'accelerators': sweep.accelerator}
  tpu = accelerators.tpu(sweep.accelerator)
  if tpu.hosts > 1:
    text = f'--accelerator is {sweep.accelerator!r}, a slice of {tpu.hosts} hosts, but here every host works on cells of its own'
    raise ConfigError(f'{text}: take a slice of one host, such as {tpu.generation}-8, and --hosts={tpu.hosts}.')
  return {'accelerators': f'tpu-{sweep.accelerator}', 'accelerator_args': {'runtime_version': tpu.runtime, 'tpu_vm': True}}
