"""Whether what builds the site is here: it is asked before anything of it is loaded."""

import importlib.util

from dynamics.schema import ConfigError

NEEDS = ('sphinx', 'furo', 'myst_parser', 'latex2mathml', 'altair', 'vl_convert')


def check() -> None:
  """Does nothing where all is here.

  Raises:
    ConfigError: a package that is not installed, with the command that installs it.
  """
  absent = [name for name in NEEDS if importlib.util.find_spec(name) is None]
  if absent:
    raise ConfigError(
      f"--page needs {', '.join(absent)}, not installed here: .venv/bin/pip install -e '.[page]' -c constraints.txt"
    )
