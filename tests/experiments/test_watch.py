"""What is seen of runs from outside: a table of all of them, and curves of one."""

import os
import pathlib
import re
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest
import xarray as xr

import experiments
from experiments import curves, glances, store, watch

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def look(tmp_path, capsys):
  """The lines of one look at tmp_path/out, or at another folder."""

  def call(*words, status=0):
    capsys.readouterr()
    words = words if any(word.startswith('--out') for word in words) else (*words, f'--out={tmp_path / "out"}')
    ended = watch.main(words)
    out, err = capsys.readouterr()
    assert ended == status, err
    return err if status else out.splitlines()

  return call


def test_all_runs_of_a_folder_with_state_step_and_last_readings(look, copy, tiny, flip):
  stopped = copy.with_name('a' * 16)
  stopped.mkdir()
  for name in ('run.json', 'checkpoints', 'tables', 'start'):
    (stopped / name).symlink_to(copy / name)
  harmed = copy.with_name('b' * 16)
  harmed.mkdir()
  (harmed / 'run.json').write_bytes((copy / 'run.json').read_bytes()[:-9])
  head, *rows = look()
  assert head.split() == ['run', 'config', 'state', 'step', 'members', 'saved', 'readings']
  by_run = {row.split()[0]: row for row in rows}
  assert by_run.keys() == {copy.name, 'a' * 16, 'b' * 16}
  table = experiments.load(copy).tables['performance']
  last = table[table['step'] == 24]
  shown = f'train_loss {last["train_loss"].median():.4g}  train_accuracy {last["train_accuracy"].median():.4g}'
  assert re.search(rf'tiny  +done  +24/24  +2  +\d.* ago  +{re.escape(shown)}', by_run[copy.name])
  assert re.search(r'tiny  +stopped  +24/24', by_run['a' * 16])
  assert re.search(r'damaged .*run\.json is not as it was written|damaged .*run\.json cannot be read', by_run['b' * 16])
  with store.opened(stopped, (), print):
    assert re.search(r'tiny  +running  +24/24', next(row for row in look() if row.startswith('a')))


def test_a_run_that_is_not_there_yet(look, tiny):
  assert re.search(r'[0-9a-f]{16}  +to run', look(tiny)[1])
  assert look(tiny)[-1] == 'no run of this config is there yet'


def test_curves_of_a_run_in_letters_and_as_a_picture(look, copy, tiny, tmp_path):
  lines = look(tiny, f'--png={tmp_path / "x.png"}')
  heads = [line.split()[0] for line in lines if ' .. ' in line]
  assert heads == ['train_loss', 'test_loss', 'train_accuracy', 'test_accuracy']
  loss = experiments.load(copy).arrays['performance']['train_loss']
  assert f'train_loss  {float(loss.min()):.4g} .. {float(loss.max()):.4g}, ' in '\n'.join(lines)
  picture = matplotlib.image.imread(tmp_path / 'x.png')
  assert picture.shape[1] > 1000
  assert picture.std() > 0.05
  assert [path.name for path in tmp_path.glob('.x*')] == []
  again = look(f'--run={copy.name[:6]}', '--probe=meters', '--readings=loss/last,path_length')
  assert [line.split()[0] for line in again if ' .. ' in line] == ['loss/last', 'path_length']
  assert look(f'--run={copy}')[-1]


@pytest.mark.parametrize(
  ('words', 'said'),
  [
    (['--pgn=x'], '--pgn is no argument here; did you mean --png? there are: --config, '),
    (['--png=x.png'], 'are about one run: name it with --run or --config'),
    (['--every=0'], '--every must be a number of seconds above 0'),
    (['--run=zzz'], "--run is 'zzz', which is no single run in"),
    (['RUN', '--probe=performence'], "no readings of 'performence'; did you mean performance?"),
    (['RUN', '--readings=train_los'], "'train_los', which is no single number of performance; did you mean train_loss?"),
    (['RUN', '--png=/nowhere/x.png'], '/nowhere/x.png cannot be written (No such file or directory)'),
    (['--config=configs/nowhere.py'], 'configs/nowhere.py is no file'),
    (['--out=/nowhere'], 'there are no runs in /nowhere'),
    (['--out=s3://x'], 'it must be a folder of this machine'),
  ],
)
def test_mistakes_are_sentences(look, copy, is_sentence, words, said):
  err = look(*[f'--run={copy.name}' if word == 'RUN' else word for word in words], status=2)
  assert is_sentence(err)
  assert said in err


def test_a_terminal_is_drawn_over_until_ctrl_c(copy, monkeypatch, capsys):
  looks = []

  def sleep(seconds):
    looks.append(seconds)
    if len(looks) == 3:
      raise KeyboardInterrupt

  monkeypatch.setattr(watch.time, 'sleep', sleep)
  monkeypatch.setattr(sys.stdout, 'isatty', lambda: True, raising=False)
  monkeypatch.setenv('COLUMNS', '40')
  read, real = [], glances.glance
  monkeypatch.setattr(glances, 'glance', lambda folder: read.append(folder) or real(folder))
  assert watch.main([f'--out={copy.parent}', '--every=7']) == 0
  out = capsys.readouterr().out
  assert looks == [7.0] * 3
  assert out.count('\x1b[H') == 3
  assert max(len(line) for line in re.split(r'\x1b\[\w|\n', out)) == 39
  assert len(read) == 1  # what has not changed is not read again


def test_a_reader_that_leaves_early_and_help_without_anything_slow(copy):
  line = f'set -o pipefail; {sys.executable} -m experiments.watch --out={copy.parent} | head -1'
  ran = subprocess.run(['bash', '-c', line], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)
  assert (ran.returncode, ran.stderr, ran.stdout.count('\n')) == (0, '', 1)
  slow = ('jax', 'orbax', 'matplotlib', 'duckdb', 'pandas', 'xarray')
  code = f"""import sys; from experiments import watch; watch.main(['--help']); print([m for m in {slow} if m in sys.modules])"""
  ran = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
  assert ran.stdout.endswith('[]\n')


def test_a_curve_goes_through_its_readings():
  rising = curves.lines('x', np.arange(11), np.arange(11.0)[None], width=11, height=11, plain=True)[1:]
  assert [line.index('*') for line in rising] == list(range(10, -1, -1))
  (head, *braille) = curves.lines('x', np.array([0, 1]), np.array([[1.0, 1.0], [0.0, np.nan]]), width=4, height=1)
  assert head == 'x  0 .. 1, now 1, steps 0..1 along t'
  assert braille == ['\u2849\u2809\u2809\u2809']  # the upper row of dots, and one below at the left
  assert curves.lines('x', np.array([0]), np.array([[np.nan]]), 4, 1) == ['x: no finite value yet']


def test_early_readings_are_spread_along_log_t():
  steps = np.array([0, 1, 2, 4, 8, 1000])
  assert curves.is_early(steps)
  assert not curves.is_early(np.arange(0, 1000, 100))
  assert 0.1 < curves.places(steps)[2] < 0.3


def test_a_figure_has_a_panel_a_reading_and_a_colour_a_setting():
  values = xr.DataArray(
    np.arange(12.0).reshape(4, 3), dims=('member', 'step'), coords={'step': [0, 1, 2], 'lr': ('member', [1, 1, 2, 2])}
  )
  drawn = curves.figure('title', {'a': values, 'b': values + 1}, ['lr'])
  assert [panel.get_title() for panel in drawn.axes] == ['a', 'b']
  thick = [line for line in drawn.axes[1].lines if line.get_linewidth() > 1]
  assert [line.get_label() for line in thick] == ['lr 1', 'lr 2']
  np.testing.assert_array_equal(thick[1].get_ydata(), [8.5, 9.5, 10.5])
  assert len(drawn.axes[0].lines) == 6
