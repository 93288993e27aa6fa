"""Command lines whose output is closed, broken or full, and folders as users write them."""

import os
import pathlib
import subprocess
import sys

import pytest

from dynamics.schema import ConfigError
from experiments import command

ROOT = pathlib.Path(__file__).parents[2]

SPEAK = """
import sys
from experiments import command
from dynamics.progress import opened

def main(argv):
  with opened() as screen:
    for i in range(2000):
      screen.say(f'line {i} ' + 100 * '-')
  open(argv[0], 'w').write('the work is done')
  return 0

sys.exit(command.run(main, sys.argv[1:]))
"""


@pytest.mark.parametrize(
  ('ending', 'status', 'words'),
  [
    ('| head -1', 0, ''),
    ('>&-', 0, ''),
    ('> /dev/full', 2, 'error: standard output cannot be written (No space left on device)'),
  ],
)
def test_work_goes_on_where_nobody_reads(tmp_path, ending, status, words):
  (tmp_path / 'speak.py').write_text(SPEAK)
  line = f'set -o pipefail; {sys.executable} {tmp_path / "speak.py"} {tmp_path / "done"} {ending}'
  path = {**os.environ, 'PYTHONPATH': str(ROOT)}
  ran = subprocess.run(['bash', '-c', line], env=path, capture_output=True, text=True, check=False)
  assert ran.returncode == status, ran.stderr
  assert ran.stderr.startswith(words)
  assert ran.stderr.count('\n') == bool(words)
  assert (tmp_path / 'done').read_text() == 'the work is done'


STAY = """
import sys, threading, time
from experiments import command

command.PATIENCE = float(sys.argv[1])

def main(argv):
  threading.Thread(target=time.sleep, args=(0.2 if argv[0] == '60' else 60,)).start()
  print('the work is done')
  return 3

status = command.run(main, sys.argv[1:])
print('its threads are done, too')
sys.exit(status)
"""


@pytest.mark.parametrize(
  ('patience', 'out'), [('0.1', ['the work is done']), ('60', ['the work is done', 'its threads are done, too'])]
)
def test_threads_of_a_library_do_not_keep_a_command_that_has_ended(patience, out, environment):
  ran = subprocess.run(
    [sys.executable, '-c', STAY, patience], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30
  )
  assert (ran.returncode, ran.stdout.splitlines(), ran.stderr) == (3, out, '')


def test_a_run_whose_reader_leaves_is_whole(tiny, tmp_path, environment, only, whole, same):
  line = f'{sys.executable} -m experiments.run {tiny} --out={tmp_path / "out"} --save_every=0 | head -1'
  ran = subprocess.run(['bash', '-c', line], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
  assert ran.stderr == ''
  assert len(ran.stdout.splitlines()) == 1
  same(only(tmp_path / 'out'), whole)


def test_a_folder_of_the_user(monkeypatch, tmp_path):
  monkeypatch.setenv('HOME', str(tmp_path))
  assert command.folder('--out', '~/x') == tmp_path / 'x'
  assert command.folder('--out', 'x') == pathlib.Path('x')
  for text in ('', 's3://bucket/x', '~nobody_of_that_name/x'):
    with pytest.raises(ConfigError, match='--to'):
      command.folder('--to', text)
