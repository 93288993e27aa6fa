"""A Slurm array: a task a share, put back into the queue when its time is over."""

import re

from dynamics.schema import ConfigError
from experiments.launch import shell
from experiments.launch.sweep import Launch, Sweep

SAVING = 120  # seconds before the limit at which a task saves and stops


def launch(sweep: Sweep) -> Launch:
  """One batch file; its tasks share a disk, so a mirror is optional.

  Raises:
    ConfigError: spot machines, or an accelerator that is no generic resource.
  """
  if sweep.spot:
    raise ConfigError('--spot is no matter of a Slurm job: name a partition of such machines with --partition.')
  if not re.fullmatch(r'(gpu(:\w+)?(:[1-9]\d*)?)?', sweep.accelerator, re.ASCII):
    raise ConfigError(f'--accelerator is {sweep.accelerator!r}; on Slurm it must be a resource such as gpu:1 or gpu:a100:1.')
  options = {
    'job-name': sweep.name,
    'array': f'0-{sweep.hosts - 1}',
    'ntasks': '1',
    'requeue': '',
    'open-mode': 'append',
    'output': f'{sweep.name}-%A_%a.log',
    'signal': f'B:USR1@{SAVING}',  # to this shell, which passes it on as SIGTERM
    'time': sweep.time,
    'partition': sweep.partition,
    'gres': sweep.accelerator,
  }
  lines = [f'#SBATCH --{key}' + f'={value}' * bool(value) for key, value in options.items() if value or key == 'requeue']
  text = f"""{shell.HEAD}{chr(10).join(lines)}
# The number of shares is written here, so that a task submitted alone (sbatch --array=3) has the share that it had in the array.
set -euo pipefail
LAB="${{SWEEPS:-$HOME/sweeps}}"/{sweep.name}/{sweep.commit[:12]}
SHARE=$((SLURM_ARRAY_TASK_ID + 1))/{sweep.hosts}
{shell.install(sweep)}
over=''
trap 'over=1; kill -TERM $$' USR1  # the time is nearly over; a cancelled job gets SIGTERM alone and does not come back
install_lab
{shell.share(sweep)}
if [ -n "$over" ] && [ "$result" = 130 ]; then
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"
fi
exit "$result"
"""
  return Launch({'sweep.sbatch': text}, ('sbatch', 'sweep.sbatch'))
