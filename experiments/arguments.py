"""The arguments of the command lines that read no config by them: flags with a text, switches and names."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace

from dynamics.schema import ConfigError, choose


def read(
  words: Sequence[str],
  texts: Mapping[str, str | None],
  switches: Sequence[str] = (),
  names: Iterable[str] | None = None,
  before: Sequence[str] = ('--config', '--help'),
) -> SimpleNamespace:
  """flag -> its text, or whether the switch is there; and `names`, the words without a flag.

  Args:
    words: `--flag=text`, `--flag text`, `--switch` and names.
    texts: flag -> the text where it is not given; None where it must be given.
    switches: flags without a text.
    names: those that may be given, any number of them; None where there are none.
    before: flags that were read before, for the sentence that lists all.

  Raises:
    ConfigError: a flag or a name that is unknown, given twice, without its text, with one too many, or missing.
  """
  flags, given, named, words = (*before, *texts, *switches), {}, [], list(words)
  while words:
    word = words.pop(0)
    flag, equals, text = word.partition('=')
    if names is not None and not word.startswith('-'):
      choose('name', word, dict.fromkeys(names))
      named.append(word)
      continue
    if flag not in (*texts, *switches):
      raise ConfigError(unknown(flag, flags))
    if flag in given:
      raise ConfigError(f'{flag} is given twice.')
    if flag in switches:
      if equals:
        raise ConfigError(f'{flag} takes no value, but is given {text!r}.')
      given[flag] = True
      continue
    if not equals and (not words or words[0].startswith('--')):
      raise ConfigError(f'{flag} needs a value: {flag}=VALUE.')
    given[flag] = text if equals else words.pop(0)
  for flag, text in texts.items():
    if text is None and flag not in given:
      raise ConfigError(f'{flag} is missing: add {flag}=VALUE.')
  every = {**texts, **dict.fromkeys(switches, False), **given}
  return SimpleNamespace(**{flag[2:]: value for flag, value in every.items()}, names=named)


def unknown(flag: str, flags: Sequence[str]) -> str:
  """The sentence on a flag that does not exist."""
  near = [f'did you mean {word}? ' for word in difflib.get_close_matches(flag, flags, n=1)]
  return f'{flag} is no argument here; {"".join(near)}there are: {", ".join(flags)}.'
