"""arXiv 2501.04697: the arms of figure 1 on multiplication, a b mod 113.

Command: python -m experiments.run --config=configs/prieto2025_multiply.py
Run time: 5 minutes on two cores.
Expected: as for addition.
"""

from configs._prieto2025 import EVERY_PROBE, mlp


def get_config():
  return mlp(
    data=dict(operation='multiply'),
    steps=1500,
    schedule=dict(log_points=16, linear_points=10),
    probes={name: {} for name in EVERY_PROBE},
    sweep=(
      (
        ('optimizer.perpendicular', 'hyper.weight_decay', 'steps'),
        (('off', 0.0, 1500), ('off', 1.0, 1000), ('rescaled', 0.0, 300)),
      ),
    ),
  )
