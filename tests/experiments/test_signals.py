"""Signals that come where python drops what a handler raises."""

import gc
import signal

import pytest

from experiments import run, sweep
from experiments.signals import stop_flag


def interrupted_while_collecting(*_):
  """A signal in a callback of the garbage collector."""
  strike = lambda phase, about: phase == 'start' and signal.raise_signal(signal.SIGTERM)
  gc.callbacks.append(strike)
  try:
    gc.collect()
  finally:
    gc.callbacks.remove(strike)


def test_a_dropped_interrupt_is_heard_in_silence(capfd):
  with stop_flag() as stop:
    interrupted_while_collecting()
  assert stop.heard
  assert capfd.readouterr().err == ''


@pytest.mark.parametrize('main', [run.main, sweep.main], ids=['run', 'sweep'])
def test_a_dropped_interrupt_stops_before_anything_is_written(main, tiny, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(run, 'check', interrupted_while_collecting)
  assert main([tiny, f'--out={tmp_path / "out"}']) == 130
  assert 'stopped' in capsys.readouterr().out
  assert not (tmp_path / 'out').exists()
