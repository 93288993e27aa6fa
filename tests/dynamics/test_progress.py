"""What a running job shows, with a clock of our own."""

import io

import numpy as np
import pytest

from dynamics import progress
from dynamics.train import Event


class Terminal(io.StringIO):
  def isatty(self):
    return True


@pytest.fixture
def clock(monkeypatch):
  now = [100.0]
  monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
  return now


def test_a_silent_job_is_heard_after_two_seconds_and_then_less_often(clock):
  stream = io.StringIO()
  screen = progress.Screen(stream)
  screen.show('compiling 9 programs')
  for second in range(60):
    clock[0] = 100.0 + second
    screen.tick()
  assert stream.getvalue().splitlines() == [f'  compiling 9 programs  +{n} s' for n in (2, 6, 14, 30)]
  screen.say('cell 2/2')
  clock[0] += 2
  screen.tick()
  assert stream.getvalue().splitlines()[-2:] == ['cell 2/2', '  compiling 9 programs  +1 min 1 s']


def test_a_terminal_has_one_moving_line(clock, monkeypatch):
  monkeypatch.setenv('COLUMNS', '30')
  stream = Terminal()
  screen = progress.Screen(stream)
  screen.show('step 1/100  and a line that is longer than thirty columns')
  clock[0] += 5
  screen.tick()
  screen.tick()  # too early
  assert stream.getvalue() == '  step 1/100  and a line that\r'
  screen.say('done')
  assert stream.getvalue().endswith('\r' + ' ' * 29 + '\rdone\n')


def test_the_thread_ticks_and_ends():
  stream = io.StringIO()
  with progress.opened(stream) as screen:
    screen.show('working')
  screen.tick()
  assert stream.getvalue() == ''


def event(step, **spent):
  return Event(step, None, {'performance': {'train_loss': np.array([1.0, 3.0, np.nan])}} if step == 0 else {}, spent, None)


def test_the_rate_leaves_compilation_out(clock):
  stream = io.StringIO()
  screen = progress.Screen(stream)
  take = progress.reporter(1000, 3, screen)

  def shown(new):
    take(new)
    clock[0] += 100
    screen.tick()
    return stream.getvalue().splitlines()[-1]

  assert shown(event(0, start=5.0, performance=20.0)).startswith('  step 0/1000  0%  compiling  train_loss ')
  assert '  compiling  ' in shown(event(1, train=30.0))  # the first call is a compilation too
  assert '  step 11/1000  1%  30 member-steps/s  1 min 39 s left  ' in shown(event(11, train=1.0))
  assert '  45 member-steps/s  ' in shown(event(31, train=0.5, performance=0.5, norms=70.0))  # norms compiled here
  assert len(shown(event(31, train=0.0))) > 60


@pytest.mark.parametrize(('seconds', 'text'), [(45.2, '45 s'), (200, '3 min 20 s'), (7500, '2 h 5 min'), (59.7, '1 min 0 s')])
def test_duration(seconds, text):
  assert progress.duration(seconds) == text


@pytest.mark.parametrize(('count', 'text'), [(0, '0 B'), (999, '999 B'), (3200, '3.2 kB'), (5e7, '50 MB'), (1e13, '1e+04 GB')])
def test_size(count, text):
  assert progress.size(count) == text
