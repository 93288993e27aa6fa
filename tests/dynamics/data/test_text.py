"""Bytes of text: windows, their labels, what is held out, and fresh windows at each step."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import data
from dynamics.data.text import encoded, files_of, read

KEY = jax.random.key(0, impl='threefry2x32')


@pytest.fixture
def letters(tmp_path):
  """1,000 bytes, of which each window of 4 occurs once; with a character of two bytes in utf-8."""
  path = tmp_path / 'letters.txt'
  content = ('é' + ''.join(f'{i:03d} ' for i in range(1000))).encode()[:1000]
  path.write_bytes(content)
  return str(path), content


def test_windows_lie_in_their_part_of_the_text_do_not_overlap_and_are_labelled_with_the_next_byte(letters):
  path, content = letters
  assert read(path) == content
  drawn = jax.device_get(jax.jit(data.text(source=path, length=7, train=100, test=12).draw)(KEY))
  starts = {}
  for part, count in (('train', 100), ('test', 12)):
    x, y = getattr(drawn, part)
    assert x.shape == y.shape == (count, 7)
    np.testing.assert_array_equal(x[:, 1:], y[:, :-1])
    starts[part] = [content.find(bytes([*row, last])) for row, last in zip(x.tolist(), y[:, -1].tolist(), strict=True)]
    assert len({start // 7 for start in starts[part]}) == count, 'each window once'
  assert min(starts['train']) >= 0
  assert max(starts['train']) + 7 < 900 <= min(starts['test'])
  assert starts['train'] != sorted(starts['train'])


def test_fresh_windows_are_a_function_of_key_and_step_and_stay_in_the_part_for_training(letters):
  path, content = letters
  task = data.text(source=path, length=7, train=2, test=2, fresh=300)
  batch = jax.jit(lambda key, t: task.batch(key, task.draw(key), t))
  first, again, next_step, other = (
    jax.device_get(batch(key, jnp.int32(t))) for key, t in ((KEY, 3), (KEY, 3), (KEY, 4), (jax.random.key(1), 3))
  )
  np.testing.assert_array_equal(first.x, again.x)
  assert (first.x != next_step.x).any()
  assert (first.x != other.x).any()
  starts = np.array(
    [content.find(bytes([*row, last])) for row, last in zip(first.x.tolist(), first.y[:, -1].tolist(), strict=True)]
  )
  assert starts.min() >= 0
  assert 870 < starts.max() <= 900 - 8
  assert len(set(starts % 7)) == 7, 'from any place'
  assert data.text(source=path, length=7, train=2, test=2).batch is None


def test_the_topics_are_english():
  content = read('topics')
  assert len(content) > 400_000
  assert content.count(b' the ') > 2_000
  assert content.decode().encode() == content


def test_mistakes_are_sentences(letters):
  with pytest.raises(FileNotFoundError, match=r"data.source is 'nowhere.txt', which is no file; .* or 'topics'"):
    data.text(source='nowhere.txt')
  with pytest.raises(ValueError, match=r'test is 13, but the 100 tokens of .*letters.txt for it hold only 12 windows of 8'):
    data.text(source=letters[0], length=8, train=3, test=13)


def words(text):
  """Each word by its place in the order of the alphabet."""
  return np.unique(text.split(), return_inverse=True)[1]


def letters_apart(text):
  return list(text)


def test_a_tokeniser_by_name(letters, monkeypatch):
  path, content = letters
  monkeypatch.setitem(sys.modules, 'my_words', sys.modules[__name__])
  task = data.text(source=path, tokeniser='my_words:words', length=3, train=20, test=2)
  number = len(content.split())
  assert (task.outputs, task.vocabulary) == (number, number)
  np.testing.assert_array_equal(encoded(content, 'my_words:words')[0], words(content.decode()))
  assert files_of(source=path, tokeniser='my_words:words')[1].name == 'test_text.py'
  for name, reason in (
    ('letters', "is 'letters'; it must be"),
    ('my_words:wrods', 'does not import'),
    ('my_words:letters_apart', 'gives <U1'),
  ):
    with pytest.raises(ValueError, match=reason):
      data.text(source=path, tokeniser=name)
