"""Config files: python files with a function get_config()."""

import pathlib
import traceback

import ml_collections

from dynamics.plan import Config
from dynamics.schema import ConfigError


def load(path: str) -> Config:
  """The nested dict of a config file."""
  file = pathlib.Path(path)
  if not file.is_file():
    near = sorted(str(p) for p in pathlib.Path('configs').glob('[!_]*.py'))
    raise ConfigError(f'{path} is no file; there are: {", ".join(near) or "no configs in this folder"}.')
  names = {'__name__': f'config_{file.stem}', '__file__': str(file)}
  try:
    exec(compile(file.read_bytes(), str(file), 'exec'), names)  # an import would leave a __pycache__ beside the config
    if 'get_config' not in names:
      raise ConfigError(f'{path} has no function get_config(); a config file must define one.')
    config = names['get_config']()
  except ConfigError:
    raise
  except (Exception, SystemExit) as error:  # a config file may fail in any way, and its author wants the reason in a sentence
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame.lineno for frame in frames if frame.filename == str(file)]
    line = error.lineno if isinstance(error, SyntaxError) else inside[-1] if inside else None
    place = f'{path}, line {line},' if line else path
    raise ConfigError(f'{place} does not run: {type(error).__name__}: {getattr(error, "msg", error)}.') from error
  if isinstance(config, ml_collections.ConfigDict):
    return config.to_dict()
  raise ConfigError(f'{path}: get_config() gives {type(config).__name__}; it must give an ml_collections.ConfigDict.')
