"""One machine at a time: an object in a store that says who works on a run, and a counter in it that shows that he lives.

No clock of another machine is read, and no time is written. A lease is old when its counter has not moved for a while on the
reader's own clock, so clocks may disagree by any amount. Where a store lets nobody create an object alone, two machines may
both see a run free: each writes, waits, and reads back who came last. Should both go on all the same, the first heartbeat tells
one of them; what either has made until then is whole, and the same.
"""

import json
import os
import socket
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from experiments.disk import Held
from experiments.remote import Remote

NAME = 'lease.json'


class Pace(NamedTuple):
  """Seconds, by this machine's own clock."""

  beat: float = 10.0  # between heartbeats
  stale: float = 60.0  # without a heartbeat, after which a lease is taken over
  settle: float = 2.0  # between writing a lease and reading it back, where two may write it
  pause: float = 2.0  # before what has failed is tried again; then twice as long each time
  longest: float = 60.0  # of these pauses
  patience: float = 120.0  # for a mirror that does not answer, at the start and at the end of a cell
  answer: float = 60.0  # for an object; longer where it has many bytes
  stopping: float = 20.0  # the same after a signal: machines that are taken away give about half a minute


PACE = Pace()


class Lost(Exception):
  """Another machine holds the lease. Its text is that machine."""


class Lease:
  """The lease of one run. `take`, then `beat` now and then, then `release`."""

  def __init__(self, remote: Remote, run: str, pace: Pace):
    self._remote, self._run, self._pace = remote, run, pace
    self._name, self._owner, self._count = f'{run}/{NAME}', uuid.uuid4().hex, 0
    self._released = False

  def take(self, say: Callable[[str], None]) -> None:
    """Returns when this process holds the lease.

    Raises:
      Held: another machine works on the run.
      RemoteError: the store fails.
    """
    before, since = None, 0.0
    while True:
      content = self._remote.read(self._name)
      if content is None:
        if self._claim(fresh=True):
          return
        continue
      if _field(content, 'owner') == self._owner:
        return
      if content != before:
        if before is not None:  # it has moved while we looked
          raise Held(f'{self._remote.address}/{self._run}', _field(content, 'by'))
        before, since = content, time.monotonic()
        say(f'  the mirror says that {_field(content, "by")} works on this run; waiting for a sign of life')
      elif time.monotonic() - since >= self._pace.stale:
        say(f'  no sign of life of {_field(content, "by")} in {self._pace.stale:g} s: its lease is taken over')
        self._remote.remove(self._name)
        if self._claim(fresh=False):
          return
        before = None
      time.sleep(self._pace.beat / 5)

  def beat(self) -> None:
    """Shows that this process lives.

    Raises:
      Lost: another machine holds the lease by now.
      RemoteError: the store fails.
    """
    self.check()
    self._count += 1
    self._remote.write(self._name, self._text())

  def check(self) -> None:
    """Raises `Lost` where another machine holds the lease. One that nobody holds is created again."""
    content = self._remote.read(self._name)
    if self._released:
      raise Lost('nobody')
    if content is None:
      self._remote.create(self._name, self._text())
      content = self._remote.read(self._name)
    if content is not None and _field(content, 'owner') not in (self._owner, '?'):  # a part of one is told by the next look
      raise Lost(_field(content, 'by'))

  def release(self) -> None:
    """Gives the lease back, where it is still ours."""
    self._released = True
    content = self._remote.read(self._name)
    if content is not None and _field(content, 'owner') == self._owner:
      self._remote.remove(self._name)

  def _claim(self, fresh: bool) -> bool:
    alone = self._remote.create(self._name, self._text())
    if not (fresh and alone):
      time.sleep(self._pace.settle)
    return _field(self._remote.read(self._name) or b'', 'owner') == self._owner

  def _text(self) -> bytes:
    return json.dumps({'owner': self._owner, 'by': f'{socket.gethostname()}, pid {os.getpid()}', 'beat': self._count}).encode()


def _field(content: bytes, name: str) -> Any:
  """A field of a lease; '?' where it is cut short or no lease."""
  try:
    return json.loads(content)[name]
  except (ValueError, KeyError, TypeError):
    return '?'
