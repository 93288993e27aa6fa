"""Folders that move, odd paths, clocks that jump, races, storms of NaN, changed configs and stores of older code."""

import json
import os
import shutil
import tarfile
import time

import numpy as np
import pytest

from experiments import run, store
from experiments.loaded import load_run
from tests.experiments.faults.test_files import stop_after

pytestmark = pytest.mark.filterwarnings('ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning')
faults = lambda test: pytest.mark.slow(pytest.mark.faults(test))


@pytest.fixture
def said(capsys):
  """Runs a command in this process: (status, standard error)."""

  def call(*words):
    capsys.readouterr()
    status = run.main([str(word) for word in words])
    return status, capsys.readouterr().err

  return call


def away(out):
  out.rename(out.with_name('elsewhere'))


def symlinked(out):
  away(out)
  out.symlink_to(out.with_name('elsewhere'))


MOVES = {'removed': shutil.rmtree, 'moved': away, 'moved, with a symlink in its place': symlinked}


@faults
@pytest.mark.parametrize('move', MOVES)
def test_the_folder_goes_while_a_run_is_under_way(move, tiny, tmp_path, whole, same, only, said, is_sentence, monkeypatch, tally):
  out, real = tmp_path / 'out', store.Pass.append

  def append(self, step, *rest):
    real(self, step, *rest)
    if step == 12:
      self.wait()
      MOVES[move](out)

  with tally(f'the folder {move} while a run is under way'):
    with monkeypatch.context() as patch:
      patch.setattr(store.Pass, 'append', append)
      status, err = said(tiny, f'--out={out}', '--save_every=0')
    assert status == 0 or (status == 2 and is_sentence(err)), (status, err)
    if move == 'moved':
      shutil.rmtree(out, ignore_errors=True)
      out.with_name('elsewhere').rename(out)
    assert said(tiny, f'--out={out}', '--save_every=0') == (0, '')
    same(only(out), whole)


LONG = '/'.join(['x' * 200] * 5)
NAMES = ['with a space', "a quote's", 'a "double" one', 'ünï☃', 'new\nline', LONG, '-dash', '%s{x}$HOME*', 'link']


@pytest.mark.parametrize('name', [pytest.param(name, marks=[pytest.mark.slow, pytest.mark.faults]) for name in NAMES])
def test_odd_paths(name, tiny, tmp_path, whole, same, only, said, monkeypatch, tally):
  out = tmp_path / name
  if name == 'link':
    (tmp_path / 'target').mkdir()
    out.symlink_to(tmp_path / 'target')
  with tally('a run stopped and gone on with in a folder of an odd name'):
    with monkeypatch.context() as patch:
      stop_after(12, patch)
      assert said(tiny, '--out', out, '--save_every=0')[0] == 130
    assert said(tiny, '--out', out, '--save_every=0') == (0, '')
    same(only(out), whole)
    assert load_run(only(out)).state == 'done'


@faults
@pytest.mark.parametrize('hours', [-5, 5])
def test_clocks_that_jump(hours, tiny, tmp_path, whole, same, only, said, monkeypatch, tally, is_sentence):
  """The wall clock is hours off at every second look, and the other one goes at a thousandth of its pace.

  Orbax measures its patience by the wall clock, so such a run may end, in a sentence, while it saves.
  """
  wall, steady, looks = time.time, time.monotonic, []
  with tally('clocks that jump by hours and go slow'):
    with monkeypatch.context() as patch:
      patch.setattr(time, 'time', lambda: looks.append(1) or wall() + 3600 * hours * (len(looks) % 2))
      patch.setattr(time, 'monotonic', lambda: steady() / 1000)
      status, err = said(tiny, f'--out={tmp_path / "out"}', '--save_every=0')
    assert (status, err) == (0, '') or (status == 2 and is_sentence(err))
    assert said(tiny, f'--out={tmp_path / "out"}', '--save_every=0') == (0, '')
    same(only(tmp_path / 'out'), whole)


@faults
@pytest.mark.parametrize('count', [2, 8])
def test_processes_race_for_one_run(count, tiny, tmp_path, begin, whole, same, only, tally):
  with tally(f'{count} processes that race for one run'):
    processes = [begin(tiny, '--out', tmp_path / 'out', '--save_every=0', '--wait') for _ in range(count)]
    ended = [process.ended() for process in processes]
    assert [(status, err) for status, _, err in ended] == [(0, '')] * count
    assert sum('  done in' in out for _, out, _ in ended) == 1
    same(only(tmp_path / 'out'), whole)
    assert len(json.loads((only(tmp_path / 'out') / 'run.json').read_text())['sessions']) == 1


@faults
@pytest.mark.parametrize('count', [2, 8])
def test_processes_race_for_one_ledger(count, tmp_path, start, tally):
  from paper_figures import demo, output

  text = 'from tests.paper_figures.test_figures import write_rows; write_rows(pathlib.Path(sys.argv[1]), sys.argv[2])'
  names = [f'paper{i}' for i in range(count)]
  with tally(f'{count} processes that race for one ledger'):
    processes = [start('-c', f'import pathlib, sys; {text}', tmp_path / 'ledger', name) for name in names]
    for process in processes:
      _, err = process.communicate(timeout=600)
      assert process.returncode == 0, err
    rows = output.read_ledger(tmp_path / 'ledger')
    counts = [sum(row['claim'].startswith(f'{name}/') for row in rows) for name in names]
    assert counts == [len(demo.CLAIMS)] * count


@faults
def test_a_storm_of_nan_in_one_member_leaves_the_others_as_they_are(tiny, tmp_path, only, said, tally):
  rates = {'calm': '(0.01,0.02)', 'storm': '(0.01,1e38)'}
  for name, values in rates.items():
    assert said(tiny, f"--config.sweep=(('hyper.lr',{values}),)", f'--out={tmp_path / name}')[0] == 0
  calm, storm = (load_run(only(tmp_path / name)) for name in rates)
  with tally('a storm of NaN in some members: the others'):
    (members,) = np.nonzero(np.asarray(storm.settings['lr']) < 1)
    assert len(members) == 2
    assert storm.summary['diverged']
    for probe, table in storm.tables.items():
      rows = lambda t: t[t['member'].isin(members)].reset_index(drop=True)
      assert rows(table)['step'].max() == 24
      for column in set(table) - {'lr', 'run', 'cell'}:
        np.testing.assert_array_equal(rows(table)[column].to_numpy(), rows(calm.tables[probe])[column].to_numpy(), err_msg=column)


@faults
def test_a_config_that_changes_between_stop_and_going_on_is_another_run(
  tiny, tmp_path, whole, same, only, said, stamps, monkeypatch, tally
):
  out = tmp_path / 'out'
  with tally('a config changed between stop and going on'):
    with monkeypatch.context() as patch:
      stop_after(12, patch)
      assert said(tiny, f'--out={out}', '--save_every=0')[0] == 130
    old = only(out)
    before = stamps(old)
    assert said(tiny, f'--out={out}', '--save_every=0', '--config.hyper.lr=0.02') == (0, '')
    assert stamps(old) == before
    assert said(tiny, f'--out={out}', '--save_every=0') == (0, '')
    same(old, whole)


@pytest.fixture
def old(tmp_path):
  """Results of the code of November 2026: a run of 4 steps that is done, and one of 20 that was stopped at step 8."""
  with tarfile.open(os.path.join(os.path.dirname(__file__), 'store_of_2026_11.tar.gz')) as archive:
    archive.extractall(tmp_path, filter='data')
  out = tmp_path / 'store_of_2026_11'
  return out, out / '434e60cc161bc04b', out / '03d89c0ef6571576'


def test_a_store_of_2026_11_is_read(old):
  _, done, stopped = old
  assert [(load_run(folder).state, load_run(folder).step) for folder in (done, stopped)] == [('done', 4), ('stopped', 8)]
  for folder, steps in ((done, [0, 2, 4]), (stopped, [0, 2, 4, 6, 8])):
    table = load_run(folder).tables['performance']
    assert sorted(set(table['step'])) == steps
    assert set(table['member']) == {0, 1}
    np.testing.assert_allclose(table[table['step'] == 0]['train_loss'].mean(), 1.706, atol=1e-3)


@faults
@pytest.mark.parametrize('changes', [(), ('--config.steps=20',)])
def test_a_store_of_2026_11_is_gone_on_from_or_left_as_it_is(changes, old, tiny, tmp_path, said, is_sentence, stamps, tally):
  """Code that computes otherwise makes a run of its own beside the old one."""
  out, *folders = old
  path = tmp_path / 'tiny.py'
  path.write_text(path.read_text().replace('steps=24', 'steps=4'))
  folder = folders[len(changes)]
  before = stamps(folder)
  with tally('a store of November 2026, read by the code of now'):
    status, err = said(tiny, f'--out={out}', *changes)
    assert (status, err) == (0, '') or is_sentence(err)
    assert load_run(folder).state == 'done' or stamps(folder) == before
