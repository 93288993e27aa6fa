"""How a config changes what the configs of its paper share: by the rule of the command line, `dynamics.plan.assign`."""

from collections.abc import Mapping
from typing import Any

import ml_collections

from dynamics.plan import assign

Changes = Mapping[str, Any]  # 'data.train' -> 256


def merge(shared: Mapping[str, Any], *changes: Changes) -> ml_collections.ConfigDict:
  """The shared config with fields set in their order, as `--config.data.train=256` sets one.

  A path with a dot sets one field of a block, one without sets a field or a whole block, and a new name of a block clears it.
  """
  config = dict(shared)
  for path, value in (item for part in changes for item in part.items()):
    config = assign(config, path, value)
  return ml_collections.ConfigDict(config)
