"""Where the cells of a sweep are worked on: in this process, in processes that it starts, or by Ray.

A launcher takes units and gives futures of replies. It keeps no record: what is done lies on the disk, so that a unit that is
given twice is made once.
"""

import concurrent.futures
import contextlib
import importlib.util
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from dynamics.schema import ConfigError
from experiments.disk import Held, StoreError, reason
from experiments.run import Options, run_unit
from experiments.share import Unit

RETRIES = 3  # of a unit whose process died
SAVING = 60.0  # seconds that a stopped worker has to save
STORE = 80_000_000  # bytes of Ray's object store, through which nothing but units and replies go


class Reply(NamedTuple):
  """What became of a unit."""

  state: str  # 'done', 'held' by another process, 'stopped' by a signal, 'failed' or 'died'
  text: str = ''  # a sentence on what went wrong; who holds it
  lines: tuple[str, ...] = ()  # what was said meanwhile
  made: bool = False  # whether anything was missing
  diverged: int = 0  # members
  unsent: bool = False  # whether the mirror lacks something of it


class Launcher(NamedTuple):
  """How units are handed over."""

  submit: Callable[[Unit], concurrent.futures.Future]
  stop: Callable[[], None]  # asks all that is worked on to save and stop
  room: int  # units that may be submitted at once
  retries: int  # that are left to the caller


def attempt(unit: Unit, context) -> Reply:
  """Makes what is missing of a unit, in this process; whatever goes wrong is told in a sentence."""
  try:
    outcome = run_unit(unit, context)
  except Held as error:
    return Reply('held', error.holder)
  except (ConfigError, StoreError) as error:
    return Reply('failed', ' '.join(str(error).split()))
  except KeyboardInterrupt:
    return Reply('stopped')
  except Exception as error:  # a mistake of a component, of the code, of a library: the other cells may do without it
    return Reply('failed', f'{type(error).__name__}: {reason(error)}', tuple(traceback.format_exc().splitlines()))
  unsent = bool(context.mirror) and unit.key[0] in context.mirror.lacking
  return Reply('done' if outcome.finished else 'stopped', made=outcome.made, diverged=outcome.diverged, unsent=unsent)


@contextlib.contextmanager
def inline(options: Options, context, workers: int) -> Iterator[Launcher]:
  """In this process, one after the other."""

  def submit(unit):
    future = concurrent.futures.Future()
    future.set_result(attempt(unit, context))
    return future

  yield Launcher(submit, lambda: None, 1, 0)


@contextlib.contextmanager
def process(options: Options, context, workers: int) -> Iterator[Launcher]:
  """In processes, `experiments.worker`; where one dies, the next unit gets a new one."""
  mine, started = threading.local(), []

  def ask(unit):
    worker = getattr(mine, 'worker', None)
    if worker is None or worker.poll() is not None:
      words, pipe = [sys.executable, '-m', 'experiments.worker'], subprocess.PIPE
      worker = mine.worker = subprocess.Popen(words, stdin=pipe, stdout=pipe, start_new_session=True)  # Ctrl-C comes to us alone
      started.append(worker)
    try:
      pickle.dump((options, unit), worker.stdin)
      worker.stdin.flush()
      reply = pickle.load(worker.stdout)
    except (OSError, EOFError, pickle.UnpicklingError):
      return Reply('died', f'its process ended with {_ending(worker.wait())}')
    if reply.state == 'stopped':
      worker.wait()
    return reply

  def stop():
    for worker in started:
      worker.terminate()

  pool = concurrent.futures.ThreadPoolExecutor(workers)
  try:
    yield Launcher(lambda unit: pool.submit(ask, unit), stop, workers, RETRIES)
    for worker in started:
      with contextlib.suppress(OSError):
        worker.stdin.close()  # nothing more to do
    for worker in started:
      with contextlib.suppress(subprocess.TimeoutExpired):
        worker.wait(SAVING)
  finally:
    for worker in started:
      worker.kill()
    pool.shutdown(cancel_futures=True)


def _ending(status: int) -> str:
  return signal.Signals(-status).name if status < 0 else f'exit status {status}'


@contextlib.contextmanager
def ray(options: Options, context, workers: int, address: str = '') -> Iterator[Launcher]:
  """As tasks of Ray Core: on a cluster that runs at `address`, else on this machine alone."""
  if importlib.util.find_spec('ray') is None:
    raise ConfigError("--launcher=ray needs the package ray, which is not installed: pip install -e '.[sweep]'.")
  for name, value in {'RAY_USAGE_STATS_ENABLED': '0', 'RAY_raylet_start_wait_time_s': '120'}.items():
    os.environ.setdefault(name, value)
  os.environ.setdefault('RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO', '0')
  import ray as library

  alone = dict(address='local', num_cpus=workers, include_dashboard=False, object_store_memory=STORE)
  try:
    with warnings.catch_warnings():
      warnings.filterwarnings('ignore', message='os.fork')  # its servers are programs of their own: what jax fears does not come
      library.init(**(dict(address=address) if address else alone), log_to_driver=False, logging_level='ERROR')
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
      signal.signal(number, signal.getsignal(number))  # Ray has put handlers of its own below those of python
  except Exception as error:  # whatever its servers meet
    raise ConfigError(f'--launcher=ray cannot start at {address or "this machine"}: {reason(error).rstrip(".")}.') from error
  try:
    remote, refs = library.remote(**_resources(library.nodes()), max_retries=RETRIES)(task), []

    def submit(unit):
      refs.append(remote.remote(options, unit))
      return refs[-1].future()

    def stop():
      for ref in refs:
        library.cancel(ref)  # as Ctrl-C: it saves first

    yield Launcher(submit, stop, sys.maxsize, 0)
  finally:
    library.shutdown()


def _resources(nodes: Sequence[dict[str, Any]]) -> dict[str, Any]:
  """What a task asks for: all chips of a TPU host, a GPU, or a core; a device is let go when its task ends."""
  chips = {kind: [node['Resources'][kind] for node in nodes if kind in node['Resources']] for kind in ('TPU', 'GPU')}
  if chips['TPU']:
    return {'resources': {'TPU': min(chips['TPU'])}, 'max_calls': 1}
  return {'num_gpus': 1, 'max_calls': 1} if chips['GPU'] else {'num_cpus': 1}


def task(options: Options, unit: Unit) -> Reply:
  """A unit in a process of Ray."""
  from experiments import cores
  from experiments.run import opened

  cores.spread()
  lines = []
  with opened(options, lines.append) as context:
    reply = attempt(unit, context)
  return reply._replace(lines=(*lines, *reply.lines))


LAUNCHERS = {'inline': inline, 'process': process, 'ray': ray}
