"""The only layer that reads a config and touches the disk: `python -m experiments.run --config=configs/NAME.py`.

`load` reads what that left, or has left so far, and `python -m experiments.watch` shows it.
"""


def load(source, step=None, *, out='results', changes=None, mirror=''):
  """Stored runs: settings, variables by member, tables and labelled arrays, with every digest checked.

  Without a mirror nothing is written or locked, so a run that is worked on can be read at the same time: it is read as its
  newest checkpoint has it.

  Args:
    source: a run's folder; or a config: a file's path, or what its `get_config()` gives.
    step: of the checkpoint whose variables are wanted; the newest by default. Tables hold all rows so far.
    out: the folder of results, for a config.
    changes: field -> value, as `--config.FIELD=VALUE` sets it, for a config.
    mirror: an address, from which runs are brought first that are not here or are further there.

  Returns:
    One `experiments.loaded.Loaded` for a folder; a tuple of them for a config, one a cell, in the order of its sweep.

  Raises:
    ConfigError, StoreError: a sentence on a config, a run or a step that is not there, or on damage.
  """
  from experiments import loaded  # slow to import, and every command imports this package

  return loaded.load(source, step, out, changes or {}, mirror)
