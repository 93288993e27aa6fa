"""The only layer that reads a config and touches the disk: `python -m experiments.run --config=configs/NAME.py`."""
