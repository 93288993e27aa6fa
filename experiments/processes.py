"""Several processes that run one program (`jax.distributed`): what they agree on, and how they end together.

Every process runs the same programs in the same order, on its own devices. What they decide (the next cell, when to save, whether
a signal has come) is decided by the first and told to all, through the key-value store of jax's coordination service, which the
first process holds. A thread of each looks every second whether all others live, and ends its process in a sentence if not.
"""

import contextlib
import ctypes
import functools
import json
import os
import pathlib
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dynamics.schema import ConfigError
from experiments.disk import Held, StoreError

FLAG = '--processes'
LOST = 5  # exit status: another process of this program has ended before its time
HEARTBEAT = 20  # seconds without a word after which a process counts as dead
JOINING = 300  # seconds to wait for all to begin
PATIENCE = 5_000  # milliseconds of one question; it is asked again and again, because the first may be compiling
PAUSE = 1.0  # seconds between looks at the others
GRACE = 3 * PAUSE  # seconds in which the others hear why a process ends
ERRORS = {'ConfigError': ConfigError, 'StoreError': StoreError}


class Group:
  """The processes of a program; the default is one alone, which asks nobody."""

  def __init__(self, index: int = 0, count: int = 1, client=None):
    self.index, self.count = index, count
    self._client, self._rounds = client, 0
    self._deciding = False  # what the first process decides may ask for decisions itself
    self._ending, self.status = threading.Event(), LOST

  @property
  def first(self) -> bool:
    return self.index == 0

  @property
  def name(self) -> str:
    return _name(self.index, self.count)

  def exchange(self, value: Any, decide: Callable[[list], Any]) -> Any:
    """What the first process decides from the values of all, in their order: plain values, which pass as JSON.

    Raises:
      ConfigError, StoreError, Held: in every process, where `decide` raises one.
    """
    if self.count == 1 or self._deciding:
      return decide([value])
    key, self._rounds = f'lab/{self._rounds}', self._rounds + 1
    if not self.first:
      self._client.key_value_set(f'{key}/{self.index}', json.dumps(value))
      return _opened(json.loads(self._ask(key)))
    values = [json.loads(json.dumps(value)), *(json.loads(self._ask(f'{key}/{i}')) for i in range(1, self.count))]
    if self._rounds > 1:  # all have read the answer before this one
      self._client.key_value_delete(f'lab/{self._rounds - 2}')
    self._deciding = True
    try:
      answer = {'answer': decide(values)}
    except (ConfigError, StoreError) as error:
      answer = {'error': type(error).__name__, 'text': str(error), 'holder': getattr(error, 'holder', '')}
    finally:
      self._deciding = False
    text = json.dumps(answer)
    self._client.key_value_set(key, text)
    return _opened(json.loads(text))

  def agreed(self, act: Callable[[], Any]) -> Any:
    """What `act` gives in the first process, which alone calls it; its errors, too."""
    return self.exchange(None, lambda _: act())

  def any(self, flag: bool) -> bool:
    return self.exchange(bool(flag), any)

  def gathered(self, value: Any) -> list:
    """The values of all, in their order."""
    return self.exchange(value, lambda values: values)

  def _ask(self, key: str) -> str:
    while True:
      try:
        return self._client.blocking_key_value_get(key, PATIENCE)
      except Exception as error:
        if 'DEADLINE_EXCEEDED' not in str(error):
          raise

  # ---- the end ----------------------------------------------------------------------------------------------------

  def watch(self) -> None:
    """Looks whether all live, and ends this process in a sentence if not. For a thread."""
    while not self._ending.wait(PAUSE):
      try:
        live = set(self._client.get_live_nodes(list(range(self.count))))  # returns when all that live have asked
        said = dict(self._client.key_value_dir_get('lab-ended/'))
      except Exception:  # the store of the first process is gone, of which `fall` tells
        return
      dead = [i for i in range(self.count) if i not in live]
      if said or dead:
        names = [(int(key.split('/')[-1]), f' ({text})') for key, text in said.items()] or [(i, '') for i in dead]
        self._fall(', '.join(_name(i, self.count) + text for i, text in names))

  def _fall(self, who: str) -> None:
    if self._ending.is_set():
      return
    go_on = 'give the same command again, in all processes, to go on from the last checkpoint'
    os.write(2, f'error: {who} has ended, and so must {self.name}: {go_on}.\n'.encode())
    if self.first:
      time.sleep(PAUSE)  # the others hear the same from the store that this process holds
    os._exit(LOST)

  def leave(self, status: int, why: str) -> None:
    """Ends this process before its time, and lets the others know why."""
    if self.count == 1:
      return
    self.status = status
    self._ending.set()
    with contextlib.suppress(Exception):
      self._client.key_value_set(f'lab-ended/{self.index}', why)
    until = time.monotonic() + GRACE
    while time.monotonic() < until:
      with contextlib.suppress(Exception):
        self._client.get_live_nodes(list(range(self.count)))
      time.sleep(PAUSE / 2)
    sys.stdout.flush()
    os._exit(status)

  def failed(self, error: Exception) -> None:
    """Ends this process after an error that may come of another one's death: it waits as long as it takes to hear of that."""
    if self.count > 1:
      time.sleep(HEARTBEAT + 2 * GRACE)
      traceback.print_exception(error)
      self.leave(1, 'an error')

  def end(self) -> None:
    """The end in order. The first process, which holds the store, waits for the others."""
    if self.count == 1:
      return
    import jax

    self.exchange(None, lambda _: None)
    self._ending.set()
    while self.first and set(self._client.get_live_nodes(list(range(self.count)))) != {0}:
      time.sleep(PAUSE / 10)
    jax.distributed.shutdown()


ALONE = Group()


def by_first(method: Callable) -> Callable:
  """A method of an object with a `group`: the first process alone runs it, and all get its result, plain values, or its error."""

  @functools.wraps(method)
  def call(self, *args):
    return self.group.agreed(lambda: method(self, *args))

  return call


def parse(text: str) -> tuple[int, int, str] | str:
  """(index from 0, count, address) of `--processes=I/N@HOST:PORT`, or 'auto'.

  Raises:
    ConfigError: no such thing.
  """
  if text == 'auto':
    return text
  share, _, address = text.partition('@')
  first, slash, last = share.partition('/')
  digits = all(word.isascii() and word.isdigit() and len(word) < 6 for word in (first, last))
  host, colon, port = address.rpartition(':')
  if not (slash and digits and 1 <= int(first) <= int(last) and host and colon and port.isdigit() and 0 < int(port) < 2**16):
    way = 'the I-th of N processes, and where the first one listens, such as 1/2@10.0.0.1:8476'
    raise ConfigError(f"{FLAG} is {text!r}; it must be 'auto' (TPU, GKE, Slurm, MPI), or I/N@HOST:PORT, {way}.")
  return int(first) - 1, int(last), address


def joined(argv: Sequence[str]) -> Group:
  """The group that a command line asks for, when all its processes have begun. Before jax looks for devices.

  Raises:
    ConfigError: what does not come about.
  """
  words = [i for i, word in enumerate(argv) if word.partition('=')[0] == FLAG]
  if not words:
    return ALONE
  text = argv[words[-1]].partition('=')[2] or ''.join(argv[words[-1] + 1 : words[-1] + 2])
  asked = parse(text)
  os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'  # what the service says of a death is told in a sentence
  import jax
  from jax._src import distributed  # whose client has no public name

  jax.config.update('jax_enable_recoverability', True)  # who dies is told by `watch`, not by aborting all
  jax.config.update('jax_enable_preemption_service', False)  # it takes SIGTERM away
  where = {} if asked == 'auto' else dict(zip(('process_id', 'num_processes', 'coordinator_address'), asked, strict=True))
  if where:
    where['cluster_detection_method'] = 'deactivate'
  group = ALONE
  try:
    with _told_of_the_first(lambda: group):
      jax.distributed.initialize(**where, initialization_timeout=JOINING, heartbeat_timeout_seconds=HEARTBEAT)
  except (ValueError, RuntimeError) as error:
    raise ConfigError(f'{FLAG}={text}: the processes do not find each other ({str(error).splitlines()[0][:160]}).') from error
  state = distributed.global_state
  group = Group(state.process_id, state.num_processes, state.client if state.num_processes > 1 else None)
  if group.count > 1:
    threading.Thread(target=group.watch, daemon=True).start()
  return group


def check_folder(group: Group, out: pathlib.Path) -> None:
  """Refuses a folder of results that not all processes see.

  Raises:
    ConfigError: it names those that do not.
  """
  if group.count == 1:
    return
  token = out / f'.processes-{os.getpid()}'

  def write():
    try:
      out.mkdir(parents=True, exist_ok=True)
      token.touch()
    except OSError as error:
      raise StoreError(f'{out} cannot be used ({error.strerror}): mend it, or choose another folder with --out.') from error
    return token.name

  seen = group.gathered((out / group.agreed(write)).exists())
  if group.first:
    token.unlink(missing_ok=True)
  if not all(seen):
    blind = ', '.join(_name(i, group.count) for i, there in enumerate(seen) if not there)
    raise ConfigError(f'--out={out} is not the folder of the first process for {blind}: name a folder that all hosts share.')


def check_command(group: Group, runs: Sequence[str]) -> None:
  """Refuses processes that were given different runs; `runs` are their identities.

  Raises:
    ConfigError: it names those that differ from the first.
  """
  given = group.gathered(list(runs))
  wrong = ', '.join(_name(i, group.count) for i, names in enumerate(given) if names != given[0])
  if wrong:
    raise ConfigError(f'{wrong}: other cells are asked for than in the first process; give all processes the same command.')


def _name(index: int, count: int) -> str:
  return f'process {index + 1}/{count}'


def _opened(answer: Mapping[str, Any]) -> Any:
  if 'error' not in answer:
    return answer['answer']
  if answer['error'] == 'Held':
    raise Held(answer['text'].split(' is being worked on')[0], answer['holder'])
  raise ERRORS.get(answer['error'], StoreError)(answer['text'])


_terminated = ctypes.CFUNCTYPE(None)


@contextlib.contextmanager
def _told_of_the_first(group: Callable[[], Group]):
  """Where the client of the service hears that the first process is gone, it aborts this one: here in a sentence.

  jaxlib 0.10 fails to hand its status to the callback that is meant for this, which ends in C++'s `terminate`; so that has the
  same handler.
  """
  from jax._src import distributed

  real = distributed._jax

  def gone(*_):
    group()._fall(_name(0, group().count))
    os._exit(group().status)

  class Library:
    def __getattr__(self, name):
      attribute = getattr(real, name)
      is_client = name == 'get_distributed_runtime_client'
      return functools.partial(attribute, missed_heartbeat_callback=gone) if is_client else attribute

  handler = _terminated(gone)
  gone.keep = handler  # as long as the client has the callback
  with contextlib.suppress(OSError, AttributeError):
    ctypes.CDLL('libstdc++.so.6')._ZSt13set_terminatePFvvE(handler)
  distributed._jax = Library()
  try:
    yield
  finally:
    distributed._jax = real
