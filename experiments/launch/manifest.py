"""Dictionaries as YAML that a person can read."""

import yaml


class _Blocks(yaml.SafeDumper):
  """Writes texts of several lines as such, and equal parts twice."""

  def ignore_aliases(self, data) -> bool:
    return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
  return dumper.represent_scalar('tag:yaml.org,2002:str', text, style='|' if '\n' in text else None)


_Blocks.add_representer(str, _text)


def dump(value: dict) -> str:
  return yaml.dump(value, Dumper=_Blocks, sort_keys=False, width=10_000, allow_unicode=True)
