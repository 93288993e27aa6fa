"""Prints docs/probes.md: python -m dynamics.probes > docs/probes.md"""

import inspect

from dynamics import probes
from dynamics.schema import fields


def page() -> str:
  """What every probe reads, in what unit and at what cost, out of its docstring."""
  lines = [
    '# Probes',
    '',
    'Made from the docstrings by `python -m dynamics.probes > docs/probes.md`. A reading has one value a member.',
    'In a config, a probe is a block `probes.NAME`, with `on`, its own `schedule`, and the choices listed here. Where none is',
    f'named, {", ".join(probes.USUAL[:-1])} and {probes.USUAL[-1]} are on.',
  ]
  for name in probes.__all__:
    maker = getattr(probes, name)
    title, _, rest = inspect.getdoc(maker).partition('\n')
    lines += ['', f'## {name}', '', title, '', f'In `{maker.__module__}`.{_choices(maker)}', '', *_items(rest)]
  return '\n'.join(lines) + '\n'


def _choices(maker) -> str:
  some = ', '.join(f'`{name} = {parameter.default!r}`' for name, parameter in fields(maker).items())
  return f' Choices: {some}.' if some else ''


def _items(text: str) -> list[str]:
  """'Reading: ...' with its indented lines, as one item of a list."""
  items = []
  for line in text.strip().splitlines():
    head, colon, tail = line.partition(': ')
    if colon and not line.startswith(' '):
      items.append(f'- **{head}:** {tail}')
    else:
      items[-1] += f' {line.strip()}'
  return items


if __name__ == '__main__':
  print(page(), end='')
