# The one vocabulary of tasks: people, git hooks and CI call the same names.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

# State of the tools, all of it below var/ unless the environment says where a server is.
export PREFECT_HOME ?= $(CURDIR)/var/prefect
export BENTOML_HOME ?= $(CURDIR)/var/bentoml
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS ?= 120
export PREFECT_SERVER_ANALYTICS_ENABLED ?= false
# The flow prints what a person needs; its log is in Prefect, where tracebacks do not bury the one line.
export PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL ?= CRITICAL
export DO_NOT_TRACK ?= 1
export BENTOML_DO_NOT_TRACK ?= true
export DVC_NO_ANALYTICS ?= 1
export ORT_DISABLE_TELEMETRY ?= 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

IMAGES := ticket-sentiment images $(if $(ENGINE),--engine $(ENGINE)) $(if $(BASE_IMAGE),--base-image $(BASE_IMAGE))

.PHONY: help retrain search replay serve images image-test edge ui test check manifests format lock

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/ready: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is not here: install Python 3.11, or say make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.lock
	@# All cores compile, where pip would with one; what is not for this Python, which some packages bring, cannot be.
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib >/dev/null 2>&1 || true
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

retrain: $(VENV)/ready ## the monthly loop: tickets in, judged and registered model and services out
	@mkdir -p $(PREFECT_HOME)
	@python -m flows.monthly_retrain

search: $(VENV)/ready ## measure the frontier of size, speed and quality anew, for hours; goes on after a kill
	@dvc repro prepare
	@ticket-sentiment search

replay: $(VENV)/ready ## months of the whole loop, live, with and without retraining; three quarters of an hour
	@python -m benchmarks.replay

serve: $(VENV)/ready ## answer on localhost:3000 with the registered champion
	@ticket-sentiment serve

images: $(VENV)/ready ## container images of the registered champion (DEVICE=cpu, BASE_IMAGE=..., ENGINE=podman)
	@$(IMAGES) $(if $(DEVICE),--device $(DEVICE))

image-test: $(VENV)/ready ## start the champion's CPU image read-only, ask it, kill a worker, stop it
	@image=$$($(IMAGES) --device cpu) && TICKET_SENTIMENT_IMAGE=$$image python -m pytest -s tests/registry/test_images.py

edge: $(VENV)/ready ## the registered champion for devices and browsers, in dist/edge (BUNDLE=models/release/edge)
	@ticket-sentiment edge $(if $(BUNDLE),--bundle $(BUNDLE))

ui: $(VENV)/ready ## MLflow on localhost:5000 and Prefect on localhost:4200
	@mkdir -p $(PREFECT_HOME)
	@scripts/ui

# A file at a time in each of two processes, with one thread a process: on two cores in little more than half the time.
test: $(VENV)/ready ## all tests
	OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile

check: $(VENV)/ready ## style and who may import whom
	ruff check .
	ruff format --check .
	lint-imports

manifests: $(VENV)/ready ## render deploy/kubernetes, hold it against schemas and policies, parse its queries
	@python -m deploy.manifests

format: $(VENV)/ready ## put the code into shape
	ruff check --fix .
	ruff format .

lock: $(VENV)/ready ## write requirements.lock and the serving images' packages from what is installed now
	scripts/lock
	scripts/serving-requirements
