"""`--mirror=ADDRESS`: runs at a second place, from which any machine goes on.

A thread beside the training looks at the run's folder and sends what is new; another one keeps the lease. Neither stops the
training: what the mirror refuses is tried again, with growing pauses, and told.
"""

import contextlib
import pathlib
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from experiments import markers, remote, states, store
from experiments.disk import StoreError, reason
from experiments.lease import PACE, Lease, Lost, Pace
from experiments.remote import RemoteError

LOOK = 1.0  # seconds between looks at a run's folder


class Mirror:
  """The mirror of one command."""

  def __init__(self, address: str, say: Callable[[str], None], pace: Pace = PACE):
    self.remote, self.say, self.pace = remote.opened(address, pace.answer), say, pace
    self.lacking: dict[str, Sequence[int]] = {}  # runs of which the mirror lacks something -> their milestones
    self.proven = False  # whether something could be written there in this command

  def prove(self) -> None:
    """Writes something there and removes it, before anything is written here.

    Raises:
      StoreError: that is refused, or the mirror does not answer.
    """
    name = f'proof-{uuid.uuid4().hex}'

    def attempt():
      self.remote.write(name, b'1')
      self.remote.remove(name)

    self.reached(attempt, None)
    self.proven = True

  def run(self, folder: pathlib.Path, milestones: Sequence[int]) -> 'Link':
    """The mirror of one run; what lies there of a run that is done is brought here.

    Raises:
      StoreError: it does not answer, and nothing could be written there before; or the disk or another process is in the way.
    """
    link = Link(self, folder, milestones)
    link.there = self.reached(link.begin, link)
    return link

  def reached(self, attempt: Callable[[], Any], link: 'Link | None') -> bool:
    """Whether `attempt` succeeds, tried again with growing pauses.

    Raises:
      StoreError: it fails, and nothing could be written there before.
    """
    pause, begun = self.pace.pause, time.monotonic()
    while True:
      try:
        attempt()
        return True
      except RemoteError as error:
        if time.monotonic() - begun + pause <= self.pace.patience / (1 if self.proven else 8):
          self.say(f'  the mirror fails ({error}); again in {pause:g} s')
          time.sleep(pause)
          pause = min(2 * pause, self.pace.longest)
          continue
        if not self.proven:
          text = f'--mirror={self.remote.address} cannot be used ({error})'
          raise StoreError(f'{text}: mend it, or leave --mirror out and give it later.') from error
        self.say(f'  the mirror fails ({error}): {link.folder.name} goes on from what is on this disk, and is sent later')
        self.lacking[link.folder.name] = link.milestones
        return False

  def complete(self, out: pathlib.Path) -> None:
    """Sends what could not be sent before, once more; `lacking` is then what the mirror still lacks."""
    for name, milestones in sorted(self.lacking.items()):
      try:
        Link(self, out / name, milestones).complete()
      except (StoreError, Lost):  # another machine or process works on it
        continue
      except RemoteError:
        return
      del self.lacking[name]


class Link:
  """One run's folder and what the mirror has of it."""

  def __init__(self, mirror: Mirror, folder: pathlib.Path, milestones: Sequence[int]):
    self.mirror, self.folder, self.milestones = mirror, folder, milestones
    self._remote, self._say, self._run = mirror.remote, mirror.say, folder.name
    self._lease = Lease(self._remote, self._run, mirror.pace)
    self._newest = self._before = states.NOTHING
    self._damaged: set[str] = set()  # digests that the mirror has under their names, with other bytes
    self._arrived: set[str] = set()  # digests that were sent since the newest state
    self._digests: dict = {}
    self.there = True  # whether the mirror answered at the start

  def begin(self) -> None:
    """Looks, and takes a run that is done as done."""
    self._look()
    if self._newest.done and self._here() != self._newest.files:
      with store.opened(self.folder, (), self._say):
        self._take()

  def complete(self) -> None:
    """Sends what the mirror lacks of a run on which nobody works here.

    Raises:
      Lost, StoreError: another machine or process works on it.
      RemoteError: the store fails.
    """
    self._look()
    if self._here() == self._newest.files:
      return
    self._lease.take(self._say)
    self.mirror.proven = True
    try:
      with store.opened(self.folder, (), self._say):
        self._newest_state()
      self.send()
    finally:
      with contextlib.suppress(RemoteError):
        self._lease.release()

  def finish(self) -> None:
    """The same for a run that was done before; what stands in the way is kept in mind."""
    try:
      if self.there:
        self.complete()
    except (Lost, StoreError, RemoteError) as error:
      self._say(f'  {self._run} is not sent to the mirror: {error}')
      self.mirror.lacking[self._run] = self.milestones

  @contextlib.contextmanager
  def working(self, stop) -> Iterator[None]:
    """While this process works on the run, whose lock it holds: newest state first, then all that comes is sent.

    Raises:
      StoreError: another machine works on the run, or nothing can be written to the mirror.
    """
    if not (self.there and self.mirror.reached(lambda: self._lease.take(self._say), self)):
      yield
      return
    self.mirror.proven = True
    ending, over, lost, complete = (threading.Event() for _ in range(4))
    threads = (
      threading.Thread(target=self._beat, args=(over, lost, stop), daemon=True),
      threading.Thread(target=self._send, args=(ending, over, lost, complete), daemon=True),
    )
    threads[0].start()
    hurry = False
    try:
      if self.mirror.reached(self._newest_state, self):
        threads[1].start()
      yield
    except KeyboardInterrupt:
      hurry = True
      raise
    finally:
      ending.set()
      if threads[1].is_alive():
        threads[1].join(0.5)
        if threads[1].is_alive():
          self._say('  sending to the mirror ...')
        threads[1].join(0.5 if hurry else self.mirror.pace.stopping if stop.heard else self.mirror.pace.patience)
      over.set()
      if not complete.is_set():
        self.mirror.lacking[self._run] = self.milestones
      if not lost.is_set():
        with contextlib.suppress(RemoteError):
          self._lease.release()

  def _newest_state(self) -> None:
    self._look()
    self._take()

  def _look(self) -> None:
    self._newest, self._before = states.read(self._remote, self._run, self._say)

  def _here(self) -> states.Files:
    return states.of_folder(self.folder, self.milestones, self._newest.files, self._digests)

  def _take(self) -> None:
    self._damaged |= states.take(self._remote, self._run, self._newest, self.folder, self._here(), self._say)

  def send(self) -> None:
    """Sends what is new, then the state that names it, then removes what no state names any more.

    Raises:
      Lost: another machine holds the lease.
      RemoteError: the store fails; what has arrived is not sent again.
    """
    files = self._here()
    if files == self._newest.files and not self._damaged:
      return
    there = ({*self._newest.files.values(), *self._before.files.values()} - self._damaged) | self._arrived
    new = {sha: path for path, sha in files.items() if sha not in there}

    def bring(item):
      try:
        self._remote.put(self.folder / item[1], states.object_name(self._run, item[0]))
      except RemoteError as error:
        if not (self.folder / item[1]).is_file():
          raise FileNotFoundError(item[1]) from error  # the folder has gone on
        raise
      self._arrived.add(item[0])

    remote.each(bring, new.items())
    self._lease.check()
    old = {*self._before.files.values()}
    state = states.State(self._newest.serial + 1, files)
    states.write(self._remote, self._run, state)
    self._newest, self._before = state, self._newest
    self._arrived, self._damaged = set(), set()
    for sha in old - {*self._newest.files.values(), *self._before.files.values()}:
      with contextlib.suppress(RemoteError):  # what stays costs space alone
        self._remote.remove(states.object_name(self._run, sha))

  def _send(self, ending: threading.Event, over: threading.Event, lost: threading.Event, complete: threading.Event) -> None:
    """Until `ending`, and then until all is there, or it is `over`."""
    pace, pause = self.mirror.pace, 0.0
    while not over.is_set() and not lost.is_set():
      last = ending.is_set()
      try:
        self.send()
        if pause:
          self._say('  the mirror answers again, and has all that is saved')
        pause = 0.0
        if last:
          complete.set()
          return
      except FileNotFoundError:  # the folder goes on too fast for a look
        pass
      except Lost:
        return
      except Exception as error:  # a fault of the mirror must not end the training
        if not pause:
          self._say(f'  the mirror fails ({reason(error)}): training goes on here, and it is tried again')
        pause = min(max(2 * pause, pace.pause), pace.stopping / 4 if last else pace.longest)
      (over if last else ending).wait(pause or LOOK)

  def _beat(self, over: threading.Event, lost: threading.Event, stop) -> None:
    while not over.wait(self.mirror.pace.beat):
      try:
        with contextlib.suppress(RemoteError):  # told where something is sent
          self._lease.beat()
      except Lost as by:
        if not over.is_set():
          lost.set()
          self._say(f'  another machine ({by}) has taken over {self._run} in the mirror: this one saves and stops')
          stop.heard = True
        return


def fetch(address: str, runs: Iterable[str], out: pathlib.Path, say: Callable[[str], None]) -> None:
  """Brings runs, by identity, from a mirror into a folder of results, where it has them and is further; digests are checked.

  Raises:
    ConfigError: an address that cannot be used.
    StoreError: the mirror does not answer, or the disk refuses.
  """
  place = remote.opened(address, PACE.answer)
  for run in dict.fromkeys(runs):
    folder = pathlib.Path(out) / run
    try:
      newest = states.read(place, run, say)[0]
      here = states.of_folder(folder, (), newest.files, {})
      if not newest.files or here == newest.files or markers.holder(folder) is not None:
        continue
      with store.opened(folder, (), say):
        states.take(place, run, newest, folder, here, say)
    except RemoteError as error:
      raise StoreError(f'--mirror={address} cannot be read ({error}): mend it, or leave --mirror out.') from error
