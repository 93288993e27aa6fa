"""One file a paper: CLAIMS (what tables can decide) and FIGURES (how they are drawn). `python -m paper_figures --list`."""
