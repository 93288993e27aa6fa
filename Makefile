# make demo: the first experiment, from nothing to a figure.   make test: the test suite.   make page: the gallery to browse.
# Each sets up .venv itself.
PYTHON ?= python3
RUN := .venv/bin/python
INSTALL := $(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-slow faults lint bench figures page lessons

demo: .venv/lab
	$(RUN) -m paper_figures demo

# Tests of one file share compiled programs, so each file stays with one of the two workers.
test: .venv/test
	$(RUN) -m pytest -n 2 --dist loadfile -m "not slow"

# The slow tier too, all of it compiled as users compile it.
test-slow: .venv/slow
	JAX_DISABLE_MOST_OPTIMIZATIONS=0 $(RUN) -m pytest -n 2 --dist loadfile

# Harms runs in every way that docs/reliability.md counts, and writes it; KILLS=10 kills at ten random moments instead of 100.
faults: .venv/slow
	rm -f .faults.xml
	JAX_DISABLE_MOST_OPTIMIZATIONS=0 $(RUN) -m pytest -n 2 -m faults --junitxml=.faults.xml tests/experiments/faults; \
	status=$$?; $(RUN) -m tests.experiments.faults.reliability .faults.xml && exit $$status

lint: .venv/test
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

bench: .venv/bench
	$(RUN) -m benchmarks

# All figures and verdicts that need no slow run, with two runs at a time: WORKERS=1 where an accelerator has room for one.
# `make figures ARGS=--slow` makes the slow runs too.
WORKERS ?= 2
figures: .venv/lab
	$(RUN) -m paper_figures --workers=$(WORKERS) $(ARGS)

# Notebooks and pages of docs/lessons, run anew: two minutes.
lessons: .venv/lessons
	$(RUN) -m docs.lessons

# The gallery as pages: open figures/page/index.html.
page: .venv/page
	$(RUN) -m paper_figures --page

.venv/lab: setup.cfg constraints.txt
	@echo "setting up .venv (about a minute)"
	$(PYTHON) -m venv .venv
	$(INSTALL) --editable .
	@touch $@

.venv/test: .venv/lab
	$(INSTALL) --editable .[test,page]
	@touch $@

.venv/slow: .venv/test
	$(INSTALL) --editable .[test,page,browser,sweep,mirror]
	@touch $@

.venv/lessons: .venv/lab
	$(INSTALL) --editable .[lessons]
	@touch $@

.venv/page: .venv/lab
	$(INSTALL) --editable .[page]
	@touch $@

.venv/bench: .venv/lab
	$(INSTALL) --editable .[bench]
	@touch $@
