"""What starts a sweep elsewhere: the files of every target, run against stand-ins of git hosts, pip, gcloud, curl and Slurm.

No cloud and no cluster takes part. The schemas of SkyPilot and Kubernetes, shellcheck and gcloud's parser are in the slow tier.
"""

import importlib.util
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml

from experiments.launch import __main__ as command
from experiments.launch import accelerators, shell, sweep
from tests.experiments.stand_ins import GCLOUD, PYTHON, RAY, stand_in

ODD = 'gs://b/it\'s $HOME `id` "x" & ü'
SEEDS = '--config.seeds=(0, 1)'
TARGETS = {
  'tpu': ['--zone=us-west4-a'],
  'queued': ['--zone=us-west4-a', '--spot', '--accelerator=v5litepod-16', '--hosts=8', '--project=p'],
  'gke': ['--image=r/x:1', '--spot', '--accelerator=v6e-8', '--hosts=2'],
  'skypilot': ['--spot', '--accelerator=v5litepod-8', '--hosts=3', '--zone=us-west4-a'],
  'slurm': ['--hosts=3', '--time=1-00:00:00', '--accelerator=gpu:a100:1', '--partition=a,b'],
}


@pytest.fixture(scope='module')
def repository(tmp_path_factory):
  folder = tmp_path_factory.mktemp('repository')
  for name in ('A_b.py', f'_Über 1--{"x" * 60}.py'):
    (folder / 'configs').mkdir(exist_ok=True)
    (folder / 'configs' / name).write_text('')
  for line in ('init -q', 'add .', '-c user.name=a -c user.email=a@b.c commit -qm a'):
    subprocess.run(['git', *line.split()], cwd=folder, check=True)
  return folder


@pytest.fixture
def lab(repository, tmp_path, monkeypatch):
  """A repository in a folder with an odd name; every config has 8 cells."""
  folder = tmp_path / "the lab's $x"
  shutil.copytree(repository, folder)
  monkeypatch.chdir(folder)
  monkeypatch.setattr(command, 'count', lambda runs: 8)
  return folder


def words(target, *more, mirror='gs://b/f', repository='https://h/lab.git'):
  return [f'--target={target}', '--config=configs/A_b.py', f'--mirror={mirror}', f'--repository={repository}', '--to=out', *more]


def written(target, *more, **changed) -> dict[str, str]:
  assert command.main(words(target, *TARGETS[target], *more, **changed)) == 0
  return {path.name: path.read_text() for path in pathlib.Path('out').iterdir()}


def process(*words: str, **options) -> subprocess.CompletedProcess:
  return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, **options)


def bash(script: str, environment: dict[str, str], *more: str) -> subprocess.CompletedProcess:
  return process('bash', script, *more, env=environment)


@pytest.mark.parametrize('target', TARGETS)
def test_files_are_shell_and_yaml_and_go_into_an_empty_folder_only(lab, target, capsys):
  files = written(target, SEEDS)
  assert 'start with: cd out && ' in capsys.readouterr().out
  for name, text in files.items():
    if name.endswith('.yaml'):
      assert yaml.safe_load(text)
    elif name.endswith('.py'):
      compile(text, name, 'exec')
    elif name != 'Dockerfile':
      assert process('bash', '-n', f'out/{name}').returncode == 0
  assert written(target, SEEDS) == files  # the same again is no mistake
  first, *others = files
  pathlib.Path('out', first).write_text('mine')
  for name in others:
    pathlib.Path('out', name).unlink()
  assert command.main(words(target, *TARGETS[target], SEEDS)) == 2
  assert f'out/{first} exists and says something else' in capsys.readouterr().err
  assert [(path.name, path.read_text()) for path in pathlib.Path('out').iterdir()] == [(first, 'mine')]


@pytest.mark.parametrize('target', TARGETS)
def test_a_dry_run_shows_the_files_and_writes_nothing(lab, target, capsys):
  assert command.main(words(target, *TARGETS[target], '--dry_run')) == 0
  shown = capsys.readouterr().out
  assert not os.path.exists('out')
  for name, text in written(target).items():
    assert f'# ---- out/{name}\n{text}' in shown


MISTAKES = {
  'target': (['--target=slrum'], 'the nearest is slurm'),
  'no target': ([], "--target is ''; it must be one of tpu, queued, gke, skypilot, slurm."),
  'flag': (['--target=slurm', '--host=2'], 'did you mean --hosts?'),
  'twice': (['--target=slurm', '--hosts=2', '--hosts=3'], '--hosts is given twice'),
  'spot without mirror': (['--target=queued', '--spot', '--zone=z', '--mirror='], 'a spot machine may vanish at any moment'),
  'cloud without mirror': (['--target=skypilot', '--mirror='], 'add --mirror=gs://BUCKET/FOLDER'),
  'local mirror': (['--target=tpu', '--zone=z', '--mirror=file:///x'], 'which other machines do not see'),
  'hosts': (['--target=slurm', '--hosts=9'], '--hosts is 9, but there are only 8 cells to share: take at most 8.'),
  'no hosts': (['--target=slurm', '--hosts=0'], '--hosts is '),
  'part of a slice': (['--target=tpu', '--zone=z', '--accelerator=v5litepod-16', '--hosts=6'], 'has 4 hosts a slice'),
  'accelerator': (['--target=tpu', '--zone=z', '--accelerator=v5lite-8'], 'the nearest is v5litepod-8'),
  'chips': (['--target=tpu', '--zone=z', '--accelerator=v6e-12'], 'v6e comes in slices of 1, 4, 8, 16'),
  'cores': (['--target=tpu', '--zone=z', '--accelerator=v4-12'], 'take a multiple of 8'),
  'pods of several hosts': (['--target=gke', '--image=x', '--accelerator=v6e-16'], 'take a slice of one host, such as v6e-8'),
  'generation': (['--target=gke', '--image=x', '--accelerator=v3-8'], 'the cluster has the generations v4'),
  'zone': (['--target=tpu'], 'add --zone=ZONE'),
  'image': (['--target=gke'], 'add --image=REGISTRY/NAME:TAG'),
  'of another target': (['--target=slurm', '--zone=z'], '--zone means nothing to slurm; it is for tpu, queued, skypilot.'),
  'spot on slurm': (['--target=slurm', '--spot'], '--partition'),
  'gres': (['--target=slurm', '--accelerator=v5litepod-8'], 'such as gpu:1'),
  'time': (['--target=slurm', '--time=a day'], "--time is 'a day'"),
  'injection': (['--target=slurm', '--partition=a\n#SBATCH --x'], 'it must be a partition'),
  'line break': (['--target=slurm', '--setup=a\nb'], 'holds a line break'),
  'name': (['--target=slurm', '--name=A_b'], '--name is '),
  'mirror': (['--target=slurm', '--mirror=bucket'], 'an address such as gs://bucket/folder'),
  'seconds': (['--target=slurm', '--save_every=-1'], '--save_every is '),
  'password': (['--target=slurm', '--repository=https://me:secret@h/x'], '--repository holds a password'),
  'option': (['--target=slurm', '--repository=--upload-pack=x'], 'it must be an address'),
  'here': (['--target=tpu', '--zone=z', '--repository=/srv/lab'], 'lies on this machine'),
  'commit': (['--target=slurm', '--commit=abc'], 'there is no such commit'),
}  # fmt: skip


@pytest.mark.parametrize('mistake', MISTAKES)
def test_mistakes_are_a_sentence_and_nothing_is_written(lab, mistake, capsys):
  given, sentence = MISTAKES[mistake]
  flags = {word.partition('=')[0] for word in given}
  usual = [word for word in words('')[1:] if word.partition('=')[0] not in flags]
  assert command.main([*usual, *given]) == 2
  told = capsys.readouterr().err
  assert told.startswith('error: ')
  assert sentence in told
  assert (told.count('\n'), 'secret' in told) == (1, False)
  assert not os.path.exists('out')


def test_a_config_that_hosts_would_not_find_is_refused(lab, capsys):
  pathlib.Path('configs/new.py').write_text('')
  for file in ('configs/new.py', '/tmp/x.py'):
    assert command.main(['--target=slurm', f'--config={file}', '--repository=https://h/x', '--to=out']) == 2
    assert f'{file} is no part of commit' in capsys.readouterr().err
  assert command.main(['--target=slurm', '--config=configs/A_b.py', '--to=out']) == 2
  assert 'add --repository=ADDRESS' in capsys.readouterr().err
  assert not os.path.exists('out')


def test_the_lab_counts_the_cells():
  """Of the config that has most, with its changed fields."""
  few = ['--config=configs/prieto2025_fig2.py', "--config.sweep=(('hyper.lr',(0.1,0.2)),)"]
  assert command.count([few]) == 1
  assert command.count([few, ['--config=configs/prieto2025_fig2.py']]) == 3


def test_help_loads_nothing_heavy():
  code = 'import sys\nfrom experiments.launch.__main__ import main\nmain(["--help"])\n'
  code += 'print("loaded", [m for m in ("jax", "numpy", "ray", "orbax", "flax", "fsspec") if m in sys.modules])'
  done = process(sys.executable, '-c', code, cwd=pathlib.Path(__file__).parents[2])
  assert done.stdout.endswith('loaded []\n'), done.stderr
  assert '--target=queued' in done.stdout


def test_a_slurm_task_fetches_installs_and_runs_its_share_until_it_is_done(lab, tmp_path):
  """From a repository with an odd path, with odd values; faults are tried again, mistakes are not, others' work is waited for."""
  given = [SEEDS, '--config=configs/A_b.py', "--config.x='$(touch bad)'", '--setup=touch "set up"', '--retries=1']
  written('slurm', *given, repository=str(lab), mirror=ODD)
  environment = {**stand_in(tmp_path, python3_13=PYTHON), 'SLURM_ARRAY_TASK_ID': '1', 'SLURM_ARRAY_JOB_ID': '7'}
  (tmp_path / 'log.next').write_text('1\n4\n4\n0\n0\n')
  done = bash('out/sweep.sbatch', environment)
  assert done.returncode == 0, done.stderr
  log = (tmp_path / 'log').read_text().splitlines()
  code = next((tmp_path / 'sweeps/a-b').iterdir()) / 'code'
  assert sorted(path.name for path in code.iterdir()) == ['.git', 'configs', 'set up']
  assert (tmp_path / 'log.pip').read_text().splitlines()[-2:] == ['--editable=.[mirror]', 'jax[cuda13]']
  run = lambda field: [str(code), '-m', 'experiments.run', '--config=configs/A_b.py', field, f'--mirror={ODD}',
                       '--save_every=60', '--cells=2/3']  # fmt: skip
  assert log == 4 * run(SEEDS) + run("--config.x='$(touch bad)'")
  for statuses, result, tries in (('1\n1\n0\n', 1, 3), ('2\n0\n', 2, 2)):  # two tries of the first; a mistake is not tried again
    (tmp_path / 'log').unlink()
    (tmp_path / 'log.next').write_text(statuses)
    assert bash('out/sweep.sbatch', environment).returncode == result
    assert (tmp_path / 'log').read_text().count('experiments.run') == tries
  assert (tmp_path / 'log.pip').read_text().count('install') == 1


@pytest.mark.parametrize(('sent', 'requeued'), [(signal.SIGUSR1, True), (signal.SIGTERM, False)])
def test_near_its_limit_a_slurm_task_saves_and_comes_back_and_a_cancelled_one_does_not(lab, tmp_path, sent, requeued):
  written('slurm', repository=str(lab))
  environment = stand_in(tmp_path, python3_13=PYTHON, scontrol='#!/bin/sh\necho "$@" >"$LOG.requeue"\n')
  environment |= {'SLURM_ARRAY_TASK_ID': '0', 'SLURM_ARRAY_JOB_ID': '7'}
  (tmp_path / 'log.next').write_text('wait\n')
  task = subprocess.Popen(
    ['bash', 'out/sweep.sbatch'], env={**environment, 'SLURM_ARRAY_TASK_ID': '0', 'SLURM_ARRAY_JOB_ID': '7'}
  )
  _until((tmp_path / 'log.waits').exists)
  task.send_signal(sent)
  assert task.wait(timeout=120) == 130
  assert (tmp_path / 'log.requeue').exists() == requeued
  if requeued:
    assert (tmp_path / 'log.requeue').read_text() == 'requeue 7_0\n'


def test_a_host_of_a_slice_takes_its_own_share_once_and_goes_on_after_a_boot(lab, tmp_path):
  written('queued')
  text = pathlib.Path('out/startup.sh').read_text()
  pathlib.Path('out/startup.sh').write_text(text.replace('https://h/lab.git', shlex.quote(str(lab))))
  curl = '#!/bin/sh\ncase "$*" in *agent-worker-number) echo 2 ;; *sweep-first) echo 5 ;; *) exit 22 ;; esac\n'
  environment = {**stand_in(tmp_path, python3_13=PYTHON, curl=curl), 'SWEEP_FOLDER': str(tmp_path / 'host')}
  (tmp_path / 'log.next').write_text('wait\n')
  host = subprocess.Popen(['bash', 'out/startup.sh'], env=environment)
  _until((tmp_path / 'log.waits').exists)
  assert bash('out/startup.sh', environment).stdout == 'this host is at work already\n'
  host.send_signal(signal.SIGTERM)
  assert host.wait(timeout=120) == 130
  assert not (tmp_path / 'host/outcome').exists()
  assert bash('out/startup.sh', environment).returncode == 0  # the machine has booted again
  assert (tmp_path / 'host/outcome').read_text() == '0\n'
  log = (tmp_path / 'log').read_text()
  assert log.count('--cells=7/8\n') == 2
  assert bash('out/startup.sh', environment).returncode == 0
  assert (tmp_path / 'log').read_text() == log


@pytest.mark.parametrize(('target', 'up', 'gone'), [('queued', 'ACTIVE', 'SUSPENDED'), ('tpu', 'READY', 'PREEMPTED')])
def test_nodes_are_made_once_again_when_preempted_and_deleted_when_done(lab, tmp_path, target, up, gone):
  command.main(words(target, '--zone=z', '--accelerator=v5litepod-16', '--hosts=8', '--spot'))
  environment = {**stand_in(tmp_path, gcloud=GCLOUD), 'UP': up}
  made, at = lambda: (tmp_path / 'log').read_text().count(' create '), lambda name: pathlib.Path('out', name)
  at('no-capacity').touch()
  assert bash('out/start.sh', environment).returncode == 1
  at('no-capacity').unlink()
  assert bash('out/start.sh', environment).returncode == 0
  assert made() == 4
  at('a-b-0.outcomes').write_text('outcome=0\noutcome=0\n')  # two of its four hosts
  at('a-b-1.state').write_text(f'{gone}\n')
  looked = bash('out/start.sh', environment)
  assert looked.stdout == f'a-b-0: at work\na-b-1: {gone}, so it is made again and goes on from the mirror\na-b-1: asked for\n'
  assert made() == 5
  assert {'--metadata=sweep-first=5', '--spot'} <= set((tmp_path / 'log').read_text().splitlines()[-1].split())
  at('a-b-0.outcomes').write_text('outcome=0\noutcome=0\noutcome=0\noutcome=1\n')
  at('a-b-1.outcomes').write_text('outcome=0\n' * 4)
  watched = bash('out/start.sh', environment, 'watch')
  assert (watched.returncode, 'a-b-0: failed (outcome=0, outcome=0, outcome=0, outcome=1)' in watched.stdout) == (3, True)
  assert [path.name for path in pathlib.Path('out').glob('*.state')] == ['a-b-0.state']
  at('a-b-0.outcomes').write_text('outcome=0\n' * 4)
  assert bash('out/start.sh', environment, 'watch').returncode == 0
  assert made() == 5
  assert not list(pathlib.Path('out').glob('*.state'))


def test_an_image_carries_odd_values_and_its_job_hands_a_share_to_every_worker(lab, tmp_path):
  files = written('gke', SEEDS, "--setup=echo 'a \\' \\", mirror=ODD, repository='https://h/it s.git')
  lines = [json.loads(line.removeprefix('RUN ')) for line in files['Dockerfile'].splitlines() if line.startswith('RUN ')]
  assert all(line[:2] == ['bash', '-c'] for line in lines)
  assert "'https://h/it s.git'" in lines[1][2]
  assert lines[2][2] == "echo 'a \\' \\"
  assert shlex.split(lines[3][2])[-2:] == ['--editable=.[mirror,sweep]', 'jax[tpu]']
  job = yaml.safe_load(files['rayjob.yaml'])['spec']
  group = job['rayClusterSpec']['workerGroupSpecs'][0]
  assert (job['entrypoint'], group['replicas']) == ('python /driver.py', 2)
  assert group['template']['spec']['nodeSelector']['cloud.google.com/gke-tpu-topology'] == '2x4'
  assert group['template']['spec']['containers'][0]['resources']['limits']['google.com/tpu'] == '8'
  pathlib.Path('share.sh').write_text(files['share.sh'].replace('cd /lab', ''))
  pathlib.Path('driver.py').write_text(files['driver.py'].replace('/share.sh', 'share.sh'))
  pathlib.Path('ray.py').write_text(RAY)
  (tmp_path / 'log.next').write_text('0\n2\n')
  done = process(sys.executable, 'driver.py', env=stand_in(tmp_path, python=PYTHON))
  assert (done.returncode, done.stdout.splitlines()[-1]) == (2, 'exit status of each share: 0 2')
  log = [line for line in (tmp_path / 'log').read_text().splitlines() if line.startswith(('--mirror', '--cells', '--config.'))]
  assert log == [SEEDS, f'--mirror={ODD}', '--cells=1/2', SEEDS, f'--mirror={ODD}', '--cells=2/2']


def test_skypilot_starts_a_job_for_every_share(lab, tmp_path):
  task = yaml.safe_load(written('skypilot', mirror=ODD)['sweep.yaml'])
  assert task['resources']['use_spot'] is True
  environment = stand_in(tmp_path, sky='#!/bin/sh\necho "$@" >>"$LOG"\n', python=PYTHON)
  assert bash('out/start.sh', environment).returncode == 0
  started = (tmp_path / 'log').read_text().splitlines()
  assert started == [f'jobs launch sweep.yaml --name=a-b-{i} --env=SHARE={i}/3 --yes --async' for i in (1, 2, 3)]
  (tmp_path / 'log').unlink()
  (tmp_path / 'sweeps/a-b' / sweep.git('rev-parse', 'HEAD')[:12] / 'code').mkdir(parents=True)
  pathlib.Path('run.sh').write_text(task['run'])
  assert bash('run.sh', {**environment, 'SHARE': '2/3'}).returncode == 0
  assert (tmp_path / 'log').read_text().splitlines()[-3:] == [f'--mirror={ODD}', '--save_every=60', '--cells=2/3']


@pytest.mark.parametrize(('name', 'chips', 'hosts'), [
  ('v5litepod-1', 1, 1), ('v5litepod-8', 8, 1), ('v5litepod-16', 16, 4), ('v6e-256', 256, 64), ('v2-8', 4, 1), ('v3-32', 16, 4),
  ('v4-8', 4, 1), ('v4-16', 8, 2), ('v5p-128', 64, 16), ('v5p-4', 2, 1),
])  # fmt: skip
def test_slices_have_the_hosts_that_their_makers_table_gives(name, chips, hosts):
  assert accelerators.tpu(name)[1:] == (chips, hosts)


def test_names_of_configs_become_names_of_machines(lab):
  path = next(pathlib.Path('configs').glob('_*'))
  assert command.main(['--target=slurm', f'--config={path}', '--repository=https://h/x', '--to=out']) == 0
  assert f'#SBATCH --job-name=ber-1-{"x" * 24}\n' in pathlib.Path('out/sweep.sbatch').read_text()


def _until(condition) -> None:
  end = time.monotonic() + 120
  while not condition():
    assert time.monotonic() < end
    time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('shellcheck') is None, reason='shellcheck is not installed')
@pytest.mark.parametrize('target', TARGETS)
def test_shellcheck_has_no_remark(lab, target):
  for name, text in written(target, mirror=ODD).items():
    if text.startswith(shell.HEAD):
      done = process('shellcheck', '--shell=bash', '--exclude=SC2016', f'out/{name}')  # a $ in quotes is meant as such
      assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec('sky') is None, reason='SkyPilot is not installed')
def test_skypilot_takes_the_task(lab, tmp_path):
  written('skypilot', mirror=ODD)
  code = 'import sky, sys; print(sky.Task.from_yaml(sys.argv[1]).resources)'
  taken = lambda: process(sys.executable, '-c', code, 'out/sweep.yaml', env={**os.environ, 'HOME': str(tmp_path)})
  assert 'tpu-v5litepod-8' in taken().stdout
  pathlib.Path('out/sweep.yaml').write_text(pathlib.Path('out/sweep.yaml').read_text() + 'bogus: 1\n')
  assert taken().returncode != 0


@pytest.mark.slow
def test_kubernetes_takes_the_pods(lab):
  validator = pytest.importorskip('kubernetes_validate')
  job = yaml.safe_load(written('gke', mirror=ODD)['rayjob.yaml'])
  cluster = job['spec']['rayClusterSpec']
  for group in (cluster['headGroupSpec'], *cluster['workerGroupSpecs']):
    pod = {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': job['metadata'], **group['template']}
    validator.validate(pod, '1.30', strict=True)
    pod['spec']['containers'][0]['imag'] = 'x'
    with pytest.raises(validator.ValidationError):
      validator.validate(pod, '1.30', strict=True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('gcloud') is None, reason='gcloud is not installed')
@pytest.mark.parametrize('target', ['tpu', 'queued'])
def test_gcloud_has_these_commands_and_arguments(lab, tmp_path, target):
  """Its own parser, which asks no server."""
  gcloud = shutil.which('gcloud')
  written(target)
  environment = {**stand_in(tmp_path, gcloud=GCLOUD), 'UP': 'READY'}
  for script in ('start', 'start', 'stop'):
    bash(f'out/{script}.sh', environment)
  lines = {line.split()[4]: line for line in (tmp_path / 'log').read_text().splitlines()}
  assert set(lines) == {'create', 'describe', 'ssh', 'delete'}
  for line in lines.values():
    lint = ['meta', 'lint-gcloud-commands', f'--command-string={line.strip()}']
    done = process(gcloud, *lint, env={**os.environ, 'CLOUDSDK_CONFIG': str(tmp_path)})
    assert json.loads(done.stdout)[0]['success'], line
