"""Real processes that are killed and signalled at random moments, from their first instruction on."""

import os
import random
import signal

import pytest

from tests.experiments.faults.conftest import KINDS, write

KILLS = int(os.environ.get('KILLS', '100'))  # of `make faults`
LENGTH = 5  # kills in a row, of commands that each go on where the one before was killed
SHARES = {'alone': 0.4, 'with a mirror': 0.2, 'with interventions': 0.2, 'from a source': 0.2}
CHAINS = [(kind, chain) for kind in KINDS for chain in range(max(1, round(KILLS * SHARES[kind] / LENGTH)))]

pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.mark.parametrize(('kind', 'chain'), CHAINS)
def test_killed_at_random_moments(kind, chain, tmp_path, begin, lone, equal, tally):
  unbroken, seconds = lone(kind)
  words, out = write(tmp_path, kind, tmp_path / 'out'), tmp_path / 'out'
  chance = random.Random(f'{kind} {chain}')
  killed = 0
  while killed < LENGTH:  # a command may end before its moment comes
    process = begin(*words, '--out', out)
    process.reach(chance.uniform(0, seconds))
    process.strike(signal.SIGKILL)
    status, said, err = process.ended()
    assert status in (0, -signal.SIGKILL), (said, err)
    assert err == ''
    killed += status != 0
  status, said, err = begin(*words, '--out', out).ended()
  for _ in range(killed):
    with tally(f'kill -9 at a random moment, a run {kind}'):
      assert (status, err) == (0, ''), said
      equal(out, unbroken)


SIGNALS = ('SIGTERM', 'SIGINT', 'SIGHUP', 'SIGSTOP')


@pytest.mark.parametrize('chain', range(max(1, KILLS // 25)))
@pytest.mark.parametrize('name', SIGNALS)
def test_signalled_at_random_moments(name, chain, tmp_path, begin, lone, equal, tally):
  """What ends a process before it has begun to work ends it as the system does; later it is told how to go on."""
  unbroken, seconds = lone('alone')
  words, out = write(tmp_path, 'alone', tmp_path / 'out'), tmp_path / 'out'
  chance, number = random.Random(f'{name} {chain}'), getattr(signal, name)
  with tally(f'{name} at a random moment' + ', SIGCONT later' * (name == 'SIGSTOP')):
    process = begin(*words, '--out', out)
    process.reach(chance.uniform(0, seconds))
    process.strike(number)
    if name == 'SIGSTOP':
      process.strike(signal.SIGCONT)
    status, said, err = process.ended()
    assert 'Traceback' not in err or status == -number  # python's own, before any line of ours
    assert status in ((0,) if name == 'SIGSTOP' else (0, 130, -number)), (said, err)
    status, said, err = begin(*words, '--out', out).ended()
    assert (status, err) == (0, ''), said
    equal(out, unbroken)
