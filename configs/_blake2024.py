"""What the configs of arXiv 2407.17465 share: digits, dense networks of two hidden layers, Adam.

The paper trains Llama-style language models with independent weight decay. Networks, data, steps and rates are ours, and so is
the rate 1 of the first layer, which the paper's table has for embeddings as 1/sqrt(fan out). Seeds below 100 were for tuning.
"""

UNIT, STANDARD = (dict(name='u_mup', embedding='one'),), ()
STEPS = 100

DIGITS = dict(
  data=dict(name='images', source='digits', train=1024, test=256),
  model=dict(name='mlp', widths=(256, 256), activation='relu', bias=False),
  init=dict(name='gaussian'),
  loss=dict(name='cross_entropy'),
  optimizer=dict(name='adam'),
  batch=dict(size=64, draw='epochs'),
  hyper=dict(lr=2.0**-5),
  seeds=tuple(range(200, 208)),
  steps=STEPS,
  layout='map',
  schedule=dict(log_points=0, linear_points=2),
  probes=dict(performance=dict()),
)
