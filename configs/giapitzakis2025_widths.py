"""arXiv 2502.16763: means of ensembles of finite networks against the infinite one, by width; 5 bits.

Command: python -m experiments.run --config=configs/giapitzakis2025_widths.py
Run time: 1 minute on one core.
Expected: with the function of step 0 taken away, the mean of ten networks comes closer to the limit as width^(-1/2); without,
what ten draws of the start leave stays, whatever the width.

One hidden relu layer, no biases, inputs divided by sqrt(k), trained on the basis vectors until they fit. The authors have width
50,000. Seeds 100 and up judge, ten an ensemble; lower ones were used for tuning.
"""

import ml_collections


def get_config():
  return ml_collections.ConfigDict(
    dict(
      data=dict(name='permutation', bits=5),
      model=dict(name='mlp', activation='relu', bias=False),
      init=dict(law='gaussian', rule='ntk'),
      loss=dict(name='mean_squared_error'),
      optimizer=dict(name='sgd'),
      hyper=dict(lr=10.0),
      predictor=dict(linearised=False),
      steps=300,
      seeds=tuple(range(100, 150)),
      schedule=dict(log_points=0),
      probes=dict(performance=dict(), predictions=dict(examples=26)),
      sweep=(
        ('predictor.centred', (True, False)),
        ('model.widths', ((64,), (256,), (1024,), (4096,))),
      ),
    )
  )
