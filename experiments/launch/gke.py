"""Google Kubernetes Engine with KubeRay: an image that holds the lab, and a RayJob that hands the shares to its workers."""

import json
import re
import shlex

from dynamics.schema import ConfigError
from experiments.launch import accelerators, manifest, shell
from experiments.launch.sweep import Launch, Sweep, check_cloud

POOLS = {'v4': 'tpu-v4-podslice', 'v5litepod': 'tpu-v5-lite-podslice', 'v5p': 'tpu-v5p-slice', 'v6e': 'tpu-v6e-slice'}
GRACE = 60  # seconds in which a pod saves

DRIVER = """import os
import subprocess
import sys

import ray


def share(number):
  return subprocess.call(['bash', '/share.sh'], env={{**os.environ, 'SHARE': f'{{number}}/{hosts}'}})


ray.init(address='auto')
task = ray.remote(num_cpus=1, max_retries=-1, scheduling_strategy='SPREAD'{device})(share)
statuses = ray.get([task.remote(number) for number in range(1, {hosts} + 1)])  # of a lost pod: another one does it again
print('exit status of each share:', *statuses)
sys.exit(max(statuses))
"""


def launch(sweep: Sweep) -> Launch:
  """Dockerfile, what the job and a worker run, manifest, and the commands that build, push and submit.

  Raises:
    ConfigError: no image, or an accelerator that the cluster cannot give to one pod.
  """
  if not sweep.image:
    raise ConfigError('the cluster needs a name under which it finds the image of the lab: add --image=REGISTRY/NAME:TAG.')
  check_cloud(sweep)
  selector, resources = _device(sweep)
  return Launch(
    {
      'Dockerfile': _dockerfile(sweep),
      'share.sh': _share(sweep),
      'driver.py': _driver(sweep, resources),
      'rayjob.yaml': manifest.dump(_rayjob(sweep, selector, resources)),
      'start.sh': f"""{shell.HEAD}set -euo pipefail
cd "$(dirname "$0")"
docker build --tag={sweep.image} .
docker push {sweep.image}
kubectl apply --filename=rayjob.yaml
""",
      'stop.sh': f"""{shell.HEAD}set -euo pipefail
kubectl delete rayjob {sweep.name} --ignore-not-found
""",
    },
    ('bash', 'start.sh'),
  )


def _device(sweep: Sweep) -> tuple[dict[str, str], dict[str, str]]:
  """The labels of the nodes on which a worker runs, and the devices that it takes."""
  spot = {'cloud.google.com/gke-spot': 'true'} if sweep.spot else {}
  if not sweep.accelerator:
    return spot, {}
  gpu = re.fullmatch(r'(nvidia-[a-z0-9-]+):([1-9]\d?)', sweep.accelerator)
  if gpu:
    return {'cloud.google.com/gke-accelerator': gpu[1], **spot}, {'nvidia.com/gpu': gpu[2]}
  tpu = accelerators.tpu(sweep.accelerator)
  if tpu.generation not in POOLS:
    raise ConfigError(f'--accelerator is {sweep.accelerator!r}; the cluster has the generations {", ".join(POOLS)}.')
  if tpu.hosts > 1:
    text = f'--accelerator is {sweep.accelerator!r}, a slice of {tpu.hosts} hosts, but here every host works on cells of its own'
    raise ConfigError(f'{text}: take a slice of one host, such as {tpu.generation}-8, and --hosts={tpu.hosts}.')
  topology = accelerators.FLAT[tpu.chips] if tpu.generation in accelerators.CHIPS else {2: '1x2x1', 4: '2x2x1'}[tpu.chips]
  labels = {'cloud.google.com/gke-tpu-accelerator': POOLS[tpu.generation], 'cloud.google.com/gke-tpu-topology': topology}
  return {**labels, **spot}, {'google.com/tpu': str(tpu.chips)}


def _dockerfile(sweep: Sweep) -> str:
  fetch = shlex.join(['git', 'fetch', '--quiet', '--depth=1', sweep.repository, sweep.commit])
  every = shlex.join(['git', 'fetch', '--quiet', sweep.repository, '+refs/*:refs/fetched/*'])
  pip = ['python', '-m', 'pip', 'install', '--no-cache-dir', '--constraint=constraints.txt']
  commands = [
    'apt-get update && apt-get install --yes --no-install-recommends git wget && rm -rf /var/lib/apt/lists/*',
    f'git init --quiet . && {{ {fetch} || {every}; }} && git checkout --quiet {sweep.commit}',
    *sweep.setup,
    shlex.join([*pip, *shell.packages(sweep, 'mirror,sweep')]),
  ]
  lines = ''.join(f'RUN {json.dumps(["bash", "-c", command])}\n' for command in commands)
  return f'FROM python:3.11-slim\nWORKDIR /lab\n{lines}COPY share.sh driver.py /\n'


def _share(sweep: Sweep) -> str:
  return f"""{shell.HEAD}# What a worker does for its share.
set -euo pipefail
cd /lab
{shell.share(sweep)}
exit "$result"
"""


def _driver(sweep: Sweep, devices: dict[str, str]) -> str:
  """Hands a share to every worker, each of which has one set of devices; the head has none."""
  words = {'google.com/tpu': ", resources={{'TPU': {0}}}", 'nvidia.com/gpu': ', num_gpus={0}'}
  return DRIVER.format(hosts=sweep.hosts, device=''.join(words[name].format(number) for name, number in devices.items()))


def _rayjob(sweep: Sweep, selector: dict[str, str], devices: dict[str, str]) -> dict:
  def pod(name: str, resources: dict, environment: dict[str, str], **more) -> dict:
    environment = [{'name': key, 'value': value} for key, value in environment.items()]
    container = {'name': name, 'image': sweep.image, 'env': environment, 'resources': resources}
    return {'spec': {'terminationGracePeriodSeconds': GRACE, 'containers': [container], **more}}

  quiet = {'RAY_USAGE_STATS_ENABLED': '0'}
  small = {'cpu': '2', 'memory': '8Gi'}
  tolerations = [{'key': 'cloud.google.com/gke-spot', 'operator': 'Equal', 'value': 'true', 'effect': 'NoSchedule'}]
  tolerations += [{'key': device, 'operator': 'Exists', 'effect': 'NoSchedule'} for device in devices]
  # The job is handed over through the dashboard of the head, which has no cells of its own.
  head = pod('ray-head', {'requests': small, 'limits': small}, {**quiet, 'JAX_PLATFORMS': 'cpu'})
  worker = pod(
    'ray-worker',
    {'requests': {**small, **devices}, 'limits': {**small, **devices}},
    quiet,
    nodeSelector=selector,
    tolerations=tolerations,
  )
  group = {
    'groupName': 'workers',
    'replicas': sweep.hosts,
    'minReplicas': sweep.hosts,
    'maxReplicas': sweep.hosts,
    'rayStartParams': {},
    'template': worker,
  }
  return {
    'apiVersion': 'ray.io/v1',
    'kind': 'RayJob',
    'metadata': {'name': sweep.name},
    'spec': {
      'entrypoint': 'python /driver.py',
      'backoffLimit': sweep.retries,
      'shutdownAfterJobFinishes': True,
      'ttlSecondsAfterFinished': 600,
      'rayClusterSpec': {
        'headGroupSpec': {'rayStartParams': {'num-cpus': '0', 'include-dashboard': 'true'}, 'template': head},
        'workerGroupSpecs': [group],
      },
    },
  }
