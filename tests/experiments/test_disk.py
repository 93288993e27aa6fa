"""Disks that are full, read-only or not there: one sentence, status 2, and nothing lost."""

import os
import shutil
import subprocess

import numpy as np
import pytest

from dynamics.types import State
from experiments import checkpoints, disk, run, store, tables


@pytest.fixture
def small_disk(tmp_path):
  """A real disk of 3 MB, and a function that mounts it anew with other options."""
  folder = tmp_path / 'disk'
  folder.mkdir()
  made = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', folder], capture_output=True, text=True, check=False)
  if made.returncode:
    pytest.skip(f'no small disk can be mounted here: {made.stderr.strip()}')
  yield folder, lambda options: subprocess.run(['mount', '-o', f'remount,{options}', folder], check=True)
  subprocess.run(['umount', '-l', folder], check=True)


def fill(folder, left=0):
  """Leaves so many bytes free, by a file of noise."""
  free = os.statvfs(folder)
  (folder / 'noise').write_bytes(os.urandom(max(0, free.f_bavail * free.f_frsize - left)))


@pytest.mark.parametrize(
  ('left', 'words'),
  [
    (40_000, ['the results take', 'the largest part is checkpoints', 'take another --out']),  # too little for all: nothing begins
    # for a later save
    pytest.param(250_000, ['is full: free some space and give the same command again'], marks=pytest.mark.slow),
  ],
)
def test_full_disk_and_the_same_command_after_it(small_disk, left, words, tiny, whole, same, only, command, is_sentence):
  folder, remount = small_disk
  fill(folder, left)
  argv = (tiny, '--out', folder / 'out', '--save_every', 0)
  status, _, err = command(*argv)
  assert status == 2, err
  assert is_sentence(err)
  assert str(folder) in err
  assert all(part in err for part in words)
  remount('size=30m')
  status, _, err = command(*argv)
  assert (status, err) == (0, '')
  same(only(folder / 'out'), whole)


def test_full_disk_at_a_table(small_disk):
  folder, remount = small_disk
  rows = [tables.rows(step, {'x': np.random.default_rng(step).normal(size=5000)}) for step in range(100)]
  with pytest.raises(store.StoreError, match='is full'), disk.faults(folder):
    tables.write(folder, 'norms', 0, 99, rows)
  assert list((folder / 'norms').iterdir()) == []
  remount('size=30m')
  tables.write(folder, 'norms', 0, 99, rows)


def test_full_disk_at_a_checkpoint(small_disk, monkeypatch):
  folder, remount = small_disk
  large = State({'params': np.random.default_rng(0).normal(size=(1, 10**6))}, (), (), {})
  with store.opened(folder / 'run', (), print) as opened:
    training = opened.training({})
    with pytest.raises(store.StoreError, match='is full'):  # told before anything is written
      training.save(1, large)
    assert list((folder / 'run').iterdir()) == [folder / 'run' / 'lock']
    monkeypatch.setattr(store, 'check_space', lambda *_: None)
    monkeypatch.setattr(checkpoints, 'check_space', lambda *_: None)
    with pytest.raises(store.StoreError, match='is full'):  # noqa: PT012
      training.save(1, large)
      training.wait()
  monkeypatch.undo()
  with store.opened(folder / 'run', (), print) as opened:
    training = opened.training({})
    assert training.restore(large) is None
    remount('size=30m')
    training.finish(1, large)
    training.close()


def test_full_disk_at_the_records(small_disk):
  folder, _ = small_disk
  store.write_json(folder / 'run.json', {'x': 1})
  fill(folder)
  with pytest.raises(store.StoreError, match='is full'):
    store.write_json(folder / 'run.json', {'x': 'y' * 10_000})
  assert disk.read_json(folder / 'run.json') == {'x': 1}


def test_read_only_disk(small_disk, tiny, capsys, is_sentence):
  folder, remount = small_disk
  remount('ro')
  assert run.main([tiny, '--out', str(folder / 'out')]) == 2
  assert is_sentence(err := capsys.readouterr().err)
  assert 'Read-only file system' in err
  assert 'choose another folder with --out' in err


def test_what_is_done_may_lie_on_a_read_only_disk(small_disk, whole, tiny, capsys):
  folder, remount = small_disk
  shutil.copytree(whole.parent, folder / 'out', ignore=shutil.ignore_patterns('.programs'))
  remount('ro')
  assert run.main([tiny, '--out', str(folder / 'out')]) == 0
  assert 'done before' in capsys.readouterr().out


def test_disk_that_turns_read_only(small_disk):
  folder, remount = small_disk
  training = store.Run(folder, (), print).training({'norms': 'norms-1'})  # without its lock, which would hold the disk
  remount('ro')
  last = State({}, (np.zeros((1,)),), (), {})
  with pytest.raises(store.StoreError, match='Read-only'):
    store.write_json(folder / 'a.json', {})
  with pytest.raises(store.StoreError, match='Read-only'):  # noqa: PT012
    training.save(1, last)
    training.wait()
  training.append(1, {'norms': {'norm': np.ones(1)}})
  with pytest.raises(store.StoreError, match='Read-only'):
    training.save(2, last)


@pytest.mark.parametrize('out', ['file', 'file/below'])
def test_out_is_a_file(tmp_path, tiny, capsys, out, is_sentence):
  (tmp_path / 'file').write_text('a letter')
  assert run.main([tiny, '--out', str(tmp_path / out)]) == 2
  assert is_sentence(err := capsys.readouterr().err)
  assert str(tmp_path / out) in err
  assert (tmp_path / 'file').read_text() == 'a letter'
