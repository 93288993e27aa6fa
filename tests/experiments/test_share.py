"""Processes that share a sweep: every cell is made once, whoever dies, and to the bits of a process alone."""

import itertools
import json
import signal
import socket

import pytest

from dynamics import plan
from experiments import config, markers, share, store
from experiments.disk import Held

CELLS = "--config.sweep=(('model.bias',(True,False)),('model.widths',((3,),(4,),(5,))))"
FEW = '--config.probes.meters.on=False'
PAIR = "--config.sweep=(('model.bias',(True,False)),)"


def folders(out):
  return sorted(path.parent for path in out.glob('*/run.json'))


def sessions(folder):
  return len(json.loads((folder / 'run.json').read_text())['sessions'])


@pytest.fixture(scope='module')
def alone(tmp_path_factory, command):
  """Six cells, made by one process."""
  from tests.experiments.conftest import TINY

  place = tmp_path_factory.mktemp('alone')
  (place / 'tiny.py').write_text(TINY)
  status, out, err = command(f'--config={place / "tiny.py"}', CELLS, FEW, '--out', place / 'out')
  assert (status, err) == (0, '')
  assert out.splitlines()[-1] == '6 cells, sources included: 6 made here'
  return place / 'out'


@pytest.mark.parametrize('workers', [2, pytest.param(4, marks=pytest.mark.slow)])
def test_workers_race_and_make_every_cell_once(tiny, tmp_path, alone, start, same, workers):
  words = ('-m', 'experiments.run', tiny, CELLS, FEW, '--out', tmp_path / 'out', '--save_every=0', '--wait')
  processes = [start(*words) for _ in range(workers)]
  ended = [(*process.communicate(timeout=300), process.returncode) for process in processes]
  assert [(err, status) for _, err, status in ended] == [('', 0)] * workers
  made = [line for out, _, _ in ended for line in out.splitlines() if 'compiling' in line and line.startswith('cell')]
  assert len(made) == len({line.split()[2] for line in made}) == 6
  runs = folders(tmp_path / 'out')
  assert [folder.name for folder in runs] == [folder.name for folder in folders(alone)]
  for folder in runs:
    same(folder, alone / folder.name)
    assert sessions(folder) == 1
  for out, _, _ in ended:
    counts = [int(part.split()[0]) for part in out.splitlines()[-1].split(': ')[1].split(', ')]
    assert sum(counts) == 6


def test_a_cell_of_a_killed_process_is_finished_by_another(tiny, tmp_path, start, signalled, alone, same):
  words = (tiny, CELLS, FEW, '--out', tmp_path / 'out', '--save_every=0')
  cell = config.read([tiny, CELLS, FEW])[0][0]
  folder = tmp_path / 'out' / plan.identity(cell)
  status, out, err = signalled(('tables', 'write', 2, 'after', int(signal.SIGKILL)), '--cells=1/6', *words)
  assert status == -signal.SIGKILL, (out, err)
  assert (folder / 'lock').read_text().startswith('pid ')
  process = start('-m', 'experiments.run', '--cells=1/6', '--wait', *words)
  out, err = process.communicate(timeout=300)
  assert (process.returncode, err) == (0, '')
  assert 'which has died: taken over' in out
  assert 'going on from step' in out
  same(folder, alone / folder.name)
  assert (folder / 'lock').read_text() == ''


def test_held_cells_are_left_and_named_and_taken_when_they_are_let_go(go, tiny, tmp_path, start):
  """The holder is a process that locks the first of two cells; what is made beside it is the second alone."""
  cells = config.read([tiny, PAIR])[0]
  first, second = (tmp_path / 'out' / plan.identity(cell) for cell in cells)
  hold = 'import pathlib, sys, time\nfrom experiments import store\nwith store.opened(pathlib.Path(sys.argv[1]), (), print):\n'
  holder = start('-c', hold + "  print('held', flush=True)\n  time.sleep(600)", first)
  try:
    assert holder.stdout.readline() == 'held\n'
    said = go(PAIR, status=4)
    who = f'pid {holder.pid} on {socket.gethostname()}'
    assert f'cell 1/2 {first.name} is held by {who}\n' in said.out
    assert '2 cells, sources included: 1 made here, 1 held\n' in said.out
    assert said.out.splitlines()[-1].startswith('not finished: others hold what is left; ')
    assert not markers.is_done(first)
    assert markers.is_done(second)
    with pytest.raises(Held, match=f'another process .{who}.') as raised, store.opened(first, (), print):
      pass
    assert raised.value.holder == who
    waiting = start('-m', 'experiments.run', tiny, PAIR, '--out', tmp_path / 'out', '--wait')
    while 'held by' not in waiting.stdout.readline():
      assert waiting.poll() is None
    holder.kill()
    out, err = waiting.communicate(timeout=300)
    assert (waiting.returncode, err) == (0, '')
    assert f'{first.name} was held by {who}, which has died: taken over' in out
    assert out.splitlines()[-1] == '2 cells, sources included: 1 made here, 1 found done'
  finally:
    holder.kill()
    holder.communicate()
  assert markers.is_done(first)


def test_a_second_look_under_the_lock(go, copy, monkeypatch):
  """Another process may finish a cell between the look at it and the lock: nothing is made then, and nothing is noted."""
  done, looks = markers.is_done, itertools.count()
  monkeypatch.setattr(markers, 'is_done', lambda folder: next(looks) > 0 and done(folder))
  assert 'done by another process' in go().out
  assert sessions(copy) == 1


def test_shares_are_apart_and_together_all(tiny):
  cells = config.read([tiny, CELLS])[0]
  for n in (1, 2, 3, 4, 6, 7):
    names = [[unit.key for unit in share.units(cells, (i, n))] for i in range(1, n + 1)]
    assert sorted(itertools.chain(*names)) == sorted(unit.key for unit in share.units(cells))
    assert max(map(len, names)) - min(map(len, names)) <= 1


@pytest.mark.parametrize('text', ['0/3', '4/3', 'x', '1', '/', '1/0', '-1/3', '1/3/5', '1.0/3', '²/3', ''])
def test_no_such_share_is_a_sentence(go, tmp_path, text):
  assert f'error: --cells is {text!r}; it must be i/n' in go(f'--cells={text}', status=2).err
  assert not (tmp_path / 'out').exists()


def test_a_source_is_a_cell_like_others(tiny, tmp_path, go):
  """Two cells need it: while another process holds it they are left, and where it is free it is made once."""
  block = f"steps=4, init=dict(name='source'), source=dict(config={str(tmp_path / 'tiny.py')!r}),"
  (tmp_path / 'later.py').write_text((tmp_path / 'tiny.py').read_text().replace('steps=24,', block))
  words = (f'--config={tmp_path / "later.py"}', "--config.sweep=(('steps',(4,6)),)", FEW)
  units = share.units(config.read(list(words))[0])
  assert [(unit.title, unit.needs) for unit in units] == [
    ('cell 1/2, its source', None),
    ('cell 1/2', units[0].key),
    ('cell 2/2', units[0].key),
  ]
  with store.opened(tmp_path / 'out' / plan.identity(units[0].cell), (), print):
    said = go(*words, status=4).out
  assert '3 cells, sources included: 1 held, 2 left\n' in said
  assert said.splitlines()[-1].startswith('not finished: others hold what is left or its source')
  assert '3 cells, sources included: 3 made here\n' in go(*words).out
