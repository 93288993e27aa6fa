"""JSON files that hold a digest of their own content: read as they were written, or refused. No jax here."""

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any


class SealError(ValueError):
  """A file that is not as it was written. Its text is a sentence without a full stop, which names the file."""


def seal(content: Mapping[str, Any]) -> str:
  """The sha256 of what JSON keeps of a block of fields."""
  return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sealed(content: Mapping[str, Any]) -> str:
  """The text of a file with this content."""
  return json.dumps({**content, 'sha256': seal(content)}, indent=1)


def read(path: pathlib.Path) -> dict[str, Any]:
  """The content of a sealed file.

  Raises:
    SealError: a file that is missing, cut short, edited, or no block of fields.
  """
  try:
    content = json.loads(path.read_text(encoding='utf-8'))
  except (ValueError, RecursionError, OSError) as error:
    raise SealError(f'{path} cannot be read ({error})') from error
  if not isinstance(content, dict) or content.pop('sha256', None) != seal(content):
    raise SealError(f'{path} is not as it was written')
  return content
