"""Every file of a run harmed in five ways, then the same command: its bits, or a sentence; and never a wrong number when read."""

import os
import shutil
import signal

import numpy as np
import pytest

from experiments import run, store
from experiments.disk import StoreError
from experiments.loaded import load_run

pytestmark = pytest.mark.filterwarnings('ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning')

HARMS = {
  'cut short': lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
  'with a bit flipped': lambda path: flipped(path),
  'emptied': lambda path: path.write_bytes(b''),
  'replaced by another': lambda path: path.write_bytes(b'{"a": "letter"}' * 7),
  'deleted': lambda path: path.unlink(),
}


def flipped(path):
  raw = bytearray(path.read_bytes())
  if raw:
    raw[len(raw) // 2] ^= 4
  path.write_bytes(raw)


def files(folder):
  names = sorted(path.relative_to(folder) for path in folder.rglob('*') if path.is_file() and path.name != 'lock')
  return [name for name in names if (folder / name).stat().st_size]


def stop_after(step, monkeypatch):
  real = store.Pass.append

  def append(self, at, *rest):
    real(self, at, *rest)
    if at == step:
      signal.raise_signal(signal.SIGTERM)

  monkeypatch.setattr(store.Pass, 'append', append)


@pytest.fixture
def stopped(tiny, tmp_path, only, monkeypatch, capsys):
  """The tiny run, stopped at step 12."""
  with monkeypatch.context() as patch:
    stop_after(12, patch)
    assert run.main([tiny, f'--out={tmp_path / "stopped"}', '--save_every=0']) == 130
  return only(tmp_path / 'stopped')


def check(harmed, whole, argv, same_rows, is_sentence, capsys):
  """The same command over a harmed run ends with the rows of the whole one or a sentence; who reads it, with its bits or one.

  A checkpoint of a finished run is not looked at again by the command: its damage is told where it is read.
  """
  read(harmed, whole)
  capsys.readouterr()
  status = run.main(argv)
  err = capsys.readouterr().err
  if status == 2:
    assert is_sentence(err)
    return
  assert (status, err) == (0, '')
  for probe in (whole / 'tables').iterdir():
    same_rows(harmed / 'tables' / probe.name, probe)
  read(harmed, whole)


def read(harmed, whole):
  """What is read is a part of what was written, to the bit, or a sentence."""
  try:
    got = load_run(harmed)
  except StoreError:  # a sentence
    return
  good = load_run(whole)
  for probe, table in got.tables.items():
    assert table.equals(good.tables[probe].iloc[: len(table)])
  if got.step == good.step:
    for name, leaf in flat(got.variables).items():
      np.testing.assert_array_equal(leaf, flat(good.variables)[name])


def flat(tree, head=''):
  below = [flat(v, f'{head}/{k}') if isinstance(v, dict) else {f'{head}/{k}': v} for k, v in tree.items()]
  return {name: leaf for part in below for name, leaf in part.items()}


def harm(state, place, share, whole, tiny, tmp_path, same_rows, is_sentence, capsys, tally):
  names = files(place)
  for i, (harm, name) in enumerate((harm, name) for name in names for harm in HARMS):
    if i % share:
      continue
    out = tmp_path / f'harmed-{i}'
    folder = shutil.copytree(place, out / place.name)
    with tally(f'a file of a {state} run {harm}'):
      HARMS[harm](folder / name)
      check(folder, whole, [tiny, f'--out={out}', '--save_every=0'], same_rows, is_sentence, capsys)
    shutil.rmtree(out)


@pytest.mark.parametrize('share', [47, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.faults])])
def test_a_harmed_file_of_a_finished_run(share, whole, tiny, tmp_path, same_rows, is_sentence, capsys, tally):
  harm('finished', whole, share, whole, tiny, tmp_path, same_rows, is_sentence, capsys, tally)


@pytest.mark.parametrize('share', [pytest.param(int(os.environ.get('SHARE', '1')), marks=[pytest.mark.slow, pytest.mark.faults])])
def test_a_harmed_file_of_a_stopped_run(share, stopped, whole, tiny, tmp_path, same_rows, is_sentence, capsys, tally):
  harm('stopped', stopped, share, whole, tiny, tmp_path, same_rows, is_sentence, capsys, tally)
