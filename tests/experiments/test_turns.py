"""A cell that a device's memory does not hold goes through it in turns, to the same tables and weights."""

import pytest

from dynamics import turns
from experiments import sizes


@pytest.mark.parametrize(
  ('members', 'most', 'rows', 'numbers'),
  [(6, 6, 1, [6]), (6, 5, 1, [3, 3]), (7, 3, 1, [3, 3, 1]), (200, 64, 1, [50] * 4), (12, 5, 4, [4] * 3), (20, 11, 4, [8, 8, 4])],
)
def test_turns_are_few_and_as_equal_as_can_be(members, most, rows, numbers):
  assert turns.sizes(members, most, rows) == numbers


def test_less_than_one_member_a_device_is_refused():
  with pytest.raises(ValueError, match='4 members go at once, one on each device, and there is room for 3'):
    turns.sizes(8, 3, 4)


@pytest.fixture
def pretend(monkeypatch):
  """A device with room for that many members of whatever cell."""

  def call(members):
    def there(cell, shapes):
      return sum(memory(cell, shapes, members).values())

    memory, real = sizes.memory, sizes.at_once

    def at_once(cell, shapes):
      monkeypatch.setattr(sizes, 'device_memory', lambda cell: there(cell, shapes))
      return real(cell, shapes)

    monkeypatch.setattr(sizes, 'has_own_memory', lambda: True)
    monkeypatch.setattr(sizes, 'at_once', at_once)

  return call


WORDS = ('--config.seeds=(0,1,2,3,4,5,6,7)', '--config.layout=map', '--save_every=0')


@pytest.mark.parametrize('own_data', [True, pytest.param(False, marks=pytest.mark.slow)])
def test_turns_make_the_bits_of_one_go(own_data, tiny, tmp_path, go, same, only, pretend):
  """Readings, checkpoints, identity and a table that is made later: nothing tells how much memory there was."""
  words = (*WORDS, f'--config.own_data={own_data}')
  go(*words, f'--out={tmp_path / "whole"}')
  pretend(4)
  assert 'of memory do not hold 8 members at once: 2 turns, the first of members 1 to 4' in go(*words, '--dry_run').out
  assert not (tmp_path / 'out').exists()
  said = go(*words, '--config.probes.meters.on=False').out
  assert said.count('of memory do not hold 8 members at once: 2 turns, the first of members 1 to 4') == 1
  go(*words)
  assert only(tmp_path / 'out').name == only(tmp_path / 'whole').name
  same(only(tmp_path / 'out'), only(tmp_path / 'whole'))
