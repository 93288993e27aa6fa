"""arXiv 2301.13703, perceptron: the signal w_1 and the time t* at which all examples are fitted, by temperature and chi.

Command: python -m experiments.run --config=configs/sclocchi2023_perceptron.py
Run time: 1 minute on one core.
Expected: w_1 and t* grow in proportion to T where the noise, about T times the number of inputs, is above the margin.

Variants: 8 and 32 inputs in place of 16. The former has 400 seeds of its own, as seeds 200 to 299 left t* undecided there.
"""

from configs._merge import merge
from configs._sclocchi2023 import PERCEPTRON

BATCH = 2
CHIS = ((0, 40_000), (1, 10_000), (2, 5_000))
TEMPERATURES = tuple(10 ** (k / 2) for k in range(-2, 5))  # 0.1 to 100
VARIANTS = {
  '': {},
  'few_inputs': {'data.inputs': 8, 'seeds': tuple(range(300, 700))},
  'many_inputs': {'data.inputs': 32},
}


def get_config(variant=''):
  sweep = ((('data.chi', 'steps'), CHIS), ('hyper.lr', tuple(BATCH * T for T in TEMPERATURES)))
  shared = {'batch.size': BATCH, 'steps': 5_000, 'sweep': sweep}
  return merge(PERCEPTRON, shared, VARIANTS[variant])
