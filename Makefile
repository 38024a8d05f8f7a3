# MedScale: make demo and make test do all of their own set-up on a fresh machine with Python >= 3.11.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CONFIG ?= config/config.yaml
AUDIT  := .audit
AUDITED := --no-deps --disable-pip -r requirements.lock -r requirements-dev.lock
# There is no card to queue for: two runs side by side, each with a core, take less time than one after the other, and
# least if the longest begin.
DEMO   := --configfile config/demo.yaml --cores 2 --resources gpu=2 --set-threads finetune=1 predict=1 score=1 examine=1
DEMO   += --prioritize results/demo/lora_1k/predictions.jsonl results/demo/qlora_1k/predictions.jsonl
# Where Snakemake finds the view of a running study, which no package installs.
VIEW   := PYTHONPATH="$(CURDIR)/workflow/logger$${PYTHONPATH:+:$$PYTHONPATH}"
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo status plan ask test test-fast mutants lint format lock audit docs clean help

help:           ## what can be made
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

demo: $(VENV)/.installed   ## the whole study in minutes, without GPU and network
	@python workflow/scripts/check_config.py config/demo.yaml
	$(VIEW) snakemake $(DEMO) --logger medscale

status: $(VENV)/.installed   ## how far each run is: make status [CONFIG=my.yaml] [DIRECTORY=/mnt/drive/study]
	@$(BIN)/python workflow/scripts/status.py --configfile $(CONFIG) $(if $(DIRECTORY),--directory $(DIRECTORY))

plan: $(VENV)/.installed   ## what the study will take here, or on a card that is not here: make plan CARD=t4
	@python workflow/scripts/check_config.py $(CONFIG)
	snakemake plan --configfile $(CONFIG) --cores 2 --resources gpu=1 $(if $(CARD),--config plan='{cards: [$(CARD)]}')

ask: $(if $(PAGE),.venv-ask,$(VENV))/.installed   ## ask a trained run: make ask RUN=qlora_100k [CONFIG=config/demo.yaml] [PAGE=1] [WAIT=1]
	@$(if $(PAGE),.venv-ask,$(VENV))/bin/python workflow/scripts/ask.py $(RUN) $(if $(PAGE),--page) $(if $(WAIT),--wait) \
	  $(if $(filter-out config/config.yaml,$(CONFIG)),--configfile $(CONFIG)) $(ASK)

test: $(VENV)/.installed-dev   ## every test, the files of them side by side in three processes, for some wait
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-fast: $(VENV)/.installed-dev   ## the tests that take seconds
	$(BIN)/python -m pytest -m "not workflow and not slow"

mutants: $(VENV)/.installed-dev   ## which change to a room no test notices: make mutants ROOM=compare [ONLY='compare/power.py:*']
	$(BIN)/python benchmarks/mutation $(ROOM) $(if $(ONLY),--only $(ONLY)) $(if $(TESTS),--tests $(TESTS))

lint: $(VENV)/.installed-dev   ## style of Python and Snakemake
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint

format: $(VENV)/.installed-dev   ## put code into the style
	ruff check --fix .
	ruff format .
	snakefmt Snakefile rules

docs: $(VENV)/.installed-dev   ## the parts of the docs that are written from the code
	$(BIN)/python docs/generate.py

lock:           ## newest versions that the ranges in pyproject.toml allow, into the lock files
	$(PYTHON) docs/lock.py

audit:          ## known vulnerabilities of the locked packages; pip-audit gets an environment of its own
	@test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/python -m pip install -q 'pip-audit>=2.10'; } \
	  || { echo "pip-audit is not installed here; elsewhere: pipx run pip-audit $(AUDITED)" >&2; exit 1; }
	@$(PYTHON) docs/audit.py $(AUDIT)/bin/pip-audit $(AUDITED)
	@$(PYTHON) docs/audit.py $(AUDIT)/bin/pip-audit --no-deps --disable-pip -r requirements-ask.lock
	@$(PYTHON) docs/audit.py $(AUDIT)/bin/pip-audit --no-deps --disable-pip -r requirements-trackers.lock

$(VENV)/.installed: requirements.lock
	@$(PYTHON) envs/install.py --venv $(VENV)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@$(PYTHON) envs/install.py --venv $(VENV) --dev
	@touch $@

.venv-ask/.installed: $(VENV)/.installed requirements-ask.lock
	@$(BIN)/python envs/install.py --ask
	@touch $@

clean:          ## results of the demo and its logs; fetched models and data stay
	rm -rf results/demo logs/results/demo
