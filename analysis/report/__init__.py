"""One page on the runs of any config: `python -m analysis.report`."""
