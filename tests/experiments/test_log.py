"""Mirrors: the files of other programs, read back, hold the numbers of the tables."""

import json
import pathlib
import re
import struct

import numpy as np
import pytest

import experiments
from dynamics.train import Event
from experiments import log, run

FRAME = 32768  # bytes of a block of W&B's log of records


def events_of(folder):
  """All events of TensorBoard's files in a folder, the older files first."""
  from tensorboardX.proto.event_pb2 import Event as Proto

  for path in sorted(folder.glob('events.out.*'), key=lambda path: path.stat().st_mtime_ns):
    raw, at = path.read_bytes(), 0
    while at < len(raw):
      (length,) = struct.unpack_from('<Q', raw, at)  # then a checksum of four bytes, and one after the record
      yield Proto.FromString(raw[at + 12 : at + 12 + length])
      at += length + 16


def series(folder):
  """tag -> {step: value}, as TensorBoard shows it: a file that begins at a step voids what earlier ones have from there on."""
  shown = {}
  for event in events_of(folder):
    if event.HasField('session_log') and event.session_log.status == event.session_log.START:
      shown = {tag: {t: v for t, v in values.items() if t < event.step} for tag, values in shown.items()}
    for value in event.summary.value:
      shown.setdefault(value.tag, {})[event.step] = value.simple_value
  return shown


def readings(step):
  return {'performance': {'loss': np.array([step, step + 0.5]), 'of': {'a': np.array([1, 2])}, 'spectrum': np.ones((2, 3))}}


def event(step, readings):
  return Event(step, None, readings, {}, None)


def test_tensorboard_shows_the_tables_of_a_run(go, tmp_path, only):
  go('--log=tensorboard', '--save_every=0')
  loaded = experiments.load(only(tmp_path / 'out'))
  folders = sorted((loaded.folder / 'log/tensorboard').iterdir())
  assert [folder.name for folder in folders] == ['0_seed_0_lr_0.01', '1_seed_1_lr_0.01']
  for m, folder in enumerate(folders):
    shown = series(folder)
    names = {f'{probe}/{name}' for probe, arrays in loaded.arrays.items() for name in arrays.data_vars}
    assert shown.keys() == names
    for probe, arrays in loaded.arrays.items():
      for name, values in arrays.data_vars.items():
        steps = shown[f'{probe}/{name}']
        assert list(steps) == values['step'].values.tolist()
        np.testing.assert_array_equal(list(steps.values()), values.sel(member=m).values.astype(np.float32))


def test_what_was_mirrored_past_the_step_of_a_resume_is_void(tmp_path):
  members = {'0 seed 0': {}, '1 seed 1': {}}
  with log.opened(('tensorboard',), tmp_path, members) as take:
    for step in (0, 2, 4):
      take(event(step, readings(step)))
      take(event(step, {}))
  with log.opened(('tensorboard',), tmp_path, members, after=2) as take:
    take(event(5, readings(5)))
  shown = series(tmp_path / 'log/tensorboard/1_seed_1')
  assert shown == {'performance/loss': {0: 0.5, 2: 2.5, 5: 5.5}, 'performance/of/a': {0: 2, 2: 2, 5: 2}}


def test_without_mirrors_nothing_is_written(tmp_path):
  with log.opened((), tmp_path, {'0': {}}) as take:
    take(event(0, readings(0)))
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
  ('words', 'said'),
  [
    (['--log=tensorbord'], "--log is 'tensorbord'; did you mean tensorboard? there are: tensorboard, wandb"),
    (['--log='], "--log is ''; there are: tensorboard, wandb"),
    (['--log=tensorboard', f'--config.seeds={tuple(range(65))}'], 'at most 64, and a cell has 65'),
  ],
)
def test_mistakes_are_sentences(go, tmp_path, words, said):
  assert said in go(*words, status=2).err
  assert not (tmp_path / 'out').exists()


def test_a_package_that_is_not_installed_is_a_sentence(go, monkeypatch):
  monkeypatch.setattr(log.importlib.util, 'find_spec', lambda name: None)
  assert "needs the package wandb, which is not installed: pip install -e '.[log]'" in go('--log=wandb', status=2).err


def records(path):
  """The records of a W&B file: after seven bytes, blocks of pieces with checksum, length and kind (1 whole, 4 last)."""
  from wandb.proto import wandb_internal_pb2

  raw, at, record = path.read_bytes(), 7, b''
  while at + 7 <= len(raw):
    if FRAME - at % FRAME < 7:
      at += FRAME - at % FRAME
    _, length, kind = struct.unpack_from('<IHB', raw, at)
    record += raw[at + 7 : at + 7 + length]
    at += 7 + length
    if kind in (1, 4):
      yield wandb_internal_pb2.Record.FromString(record)
      record = b''


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
def test_wandb_holds_the_tables_of_a_run(tiny, tmp_path, only):
  pytest.importorskip('wandb')
  assert run.main([tiny, f'--out={tmp_path / "out"}', '--log=wandb', '--save_every=0']) == 0
  loaded = experiments.load(only(tmp_path / 'out'))
  files = sorted((loaded.folder / 'log/wandb').glob('offline-run-*/*.wandb'), key=lambda path: path.name)
  assert [path.name for path in files] == [f'run-{loaded.folder.name}-{i}.wandb' for i in range(2)]
  for m, path in enumerate(files):
    history, settings = {}, {}
    for record in records(path):
      items = {'/'.join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
      for tag in items.keys() - {'_step', '_timestamp', '_runtime'}:
        history.setdefault(tag, {})[items['_step']] = items[tag]
      settings |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
    assert (settings['seed'], settings['lr'], settings['data.p']) == (m, 0.01, 5)
    for probe, arrays in loaded.arrays.items():
      for name, values in arrays.data_vars.items():
        shown = history[f'{probe}/{name}']
        assert list(shown) == values['step'].values.tolist()
        np.testing.assert_array_equal(np.array(list(shown.values()), float), values.sel(member=m).values.astype(float))


def test_the_extra_installs_what_the_mirrors_need():
  text = pathlib.Path(__file__).parents[2].joinpath('setup.cfg').read_text()
  extra = re.search(r'\nlog =\n((?: .*\n)+)', text)[1]
  assert {re.match(r' *([\w]+)', line)[1] for line in extra.splitlines()} == {package for package, _ in log.KINDS.values()}
