"""arXiv 1312.6120, figure 3: mode strengths over time from aligned balanced weights, against the closed solution.

Command: python -m experiments.run --config=configs/saxe2013_fig3.py
Run time: 20 seconds on one core.
Expected: sigmoids that follow the theory within 2% of s; with two layers of weights mode s rises at a time ~ 1/s.

The singular values 4, 3, 2, 1 and the initial strength 0.001 are ours. Three layers of weights follow the deep equation.
"""

from configs._saxe2013 import hidden, linear


def get_config():
  return linear(
    init=dict(law='aligned'),
    hyper=dict(lr=0.001, init_scale=0.001),
    steps=16000,
    schedule=dict(log_points=0, linear_points=160),
    probes=dict(performance=dict(), modes=dict()),
    sweep=(('model.widths', (hidden(2), hidden(3))),),
  )
