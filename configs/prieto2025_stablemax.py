"""arXiv 2501.04697, figures 1 and 4: StableMax without weight decay, given its budget. Slow.

Command: python -m experiments.run --config=configs/prieto2025_stablemax.py
Run time: 12 minutes on two cores.
Expected: test accuracy over 0.9.

At p = 113 and 40% of the table the authors' own 80,000 steps take 16 minutes a seed; at p = 59 and 60% five seeds fit into
the run time above. beta2 = 0.999 is the authors' value and judges; 0.99 shows what speeds it up (and what it costs).
"""

from configs._prieto2025 import stablemax


def get_config():
  return stablemax(
    data=dict(p=59, train_fraction=0.6),
    steps=32_000,
    schedule=dict(log_points=12, linear_points=80),
    probes=dict(performance=dict(), collapse=dict(schedule=dict(linear_points=20)), norms=dict()),
    sweep=((('hyper.beta2', 'steps'), ((0.999, 32_000), (0.99, 8_000))),),
  )
