"""arXiv 2503.17500: a small language model with rescaled weights (TVR), with layers scaled by their index (LIR), and plain.

Command: python -m experiments.run --config=configs/owen2025_text.py
Run time: 2 minutes on one core.
Expected: without rescaling the standard deviation of weights grows; with it the largest activations are smaller.

The paper trains LLaMA models of 1B parameters from standard deviations of 0.006 to 0.02, which are about 0.3 and 0.9 in units of
1 / sqrt(width); ours is of width 32. Readings are of one step before each rescaling. Each seed draws its own windows of the text.
Seeds 0 to 9 were used for tuning, 200 and up judge. Variants: `deep` (five blocks), `slow` (half the learning rate).
"""

from configs._merge import merge

FIELDS = ('init.branches_per_block', 'interventions.tvr.ratio')
ALL, NEVER = 1000, 1e6  # all branches are of the first block, so no layer is scaled by its index; a ratio that no matrix reaches
RATIO = 1.2
ARMS = {'plain': (ALL, NEVER), 'LIR': (2, NEVER), 'LIR+TVR': (2, RATIO)}
START, TARGETS = 0.05, (0.08, 0.12)  # standard deviations
EVERY, STEPS = 50, 800
FEW = {'seeds': tuple(range(200, 205))}
VARIANTS = {'': {}, 'deep': {'model.layers': 5, **FEW}, 'slow': {'hyper.lr': 0.0025, **FEW}}


def get_config(variant=''):
  settings = [(*arm, target) for arm in ARMS.values() for target in TARGETS if arm[1] == RATIO or target == TARGETS[0]]
  return merge(
    dict(
      data=dict(name='text', length=16, train=256, test=512, fresh=16),
      model=dict(name='decoder', layers=3, width=32, heads=2),
      init=dict(name='lir'),
      objective=dict(name='next_token'),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='adamw'),
      interventions=dict(tvr=dict(schedule=dict(log_points=0, stride=EVERY))),
      hyper=dict(lr=0.005, weight_decay=0.1, init_std=START),
      steps=STEPS,
      seeds=tuple(range(200, 210)),
      own_data=True,
      layout='map',
      schedule=dict(log_points=0, at=(0, *range(EVERY - 1, STEPS, EVERY)), end=False),
      probes=dict(performance=dict(), weight_shape=dict(bins=1), extremes=dict(examples=128)),
      sweep=(((*FIELDS, 'hyper.target_std'), tuple(settings)),),
    ),
    VARIANTS[variant],
  )
