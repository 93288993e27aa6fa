"""TPU slices by their names: generation, chips, hosts."""

import difflib
import re
from typing import NamedTuple

from dynamics.schema import ConfigError

CORES = {'v2': 'tpu-ubuntu2204-base', 'v3': 'tpu-ubuntu2204-base', 'v4': 'tpu-ubuntu2204-base', 'v5p': 'v2-alpha-tpuv5'}
CHIPS = {'v5litepod': 'v2-alpha-tpuv5-lite', 'v6e': 'v2-alpha-tpuv6e'}
RUNTIMES = {**CORES, **CHIPS}  # generation -> software of its machines; names of the first count cores, two a chip
FLAT = {1: '1x1', 4: '2x2', 8: '2x4', 16: '4x4', 32: '4x8', 64: '8x8', 128: '8x16', 256: '16x16'}  # chips -> topology


class Slice(NamedTuple):
  """A TPU slice."""

  generation: str
  chips: int
  hosts: int

  @property
  def runtime(self) -> str:
    return RUNTIMES[self.generation]


def tpu(name: str) -> Slice:
  """The slice of a name such as v5litepod-8.

  Raises:
    ConfigError: no such slice.
  """
  generation, _, digits = name.partition('-')
  if generation not in RUNTIMES or not re.fullmatch(r'[1-9]\d{0,4}', digits):
    near = difflib.get_close_matches(generation, RUNTIMES, n=1, cutoff=0.4)
    instead = f'{near[0]}-{digits or 8}' if near else 'v5litepod-8'
    raise ConfigError(f'--accelerator is {name!r}, and that is no TPU; the nearest is {instead}.')
  number = int(digits)
  if generation in CORES:
    if number % 8 and number != 4:
      raise ConfigError(f'--accelerator is {name!r}; the number counts cores, of which a host has 8: take a multiple of 8.')
    chips = number // 2
    return Slice(generation, chips, max(1, chips // 4))
  if number not in FLAT:
    raise ConfigError(f'--accelerator is {name!r}; {generation} comes in slices of {", ".join(map(str, FLAT))} chips.')
  return Slice(generation, number, 1 if number <= 8 else number // 4)


def package(accelerator: str) -> str:
  """The jax that a host needs, as a word for pip; '' for the processor alone."""
  if not accelerator:
    return ''
  return 'jax[tpu]' if accelerator.partition('-')[0] in RUNTIMES else 'jax[cuda13]'
