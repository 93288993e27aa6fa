"""The gallery as pages that open from the disk: `python -m paper_figures --page`."""
