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

OF_ENGINE := $(if $(ENGINE),--engine $(ENGINE))
OF_IMAGES := python -m deploy.ci.images

.PHONY: help retrain search replay serve reconcile images image-test edge ui test check manifests monitoring workflows format lock
.PHONY: scan scan-images sbom rollback ci extras update state-pull state-push champion-state pr-report pr-comment
.PHONY: versions-push retrain-change registry-login images-push images-sign manifests-digest release-change

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/ready: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is not here: install Python 3.11, or say make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@# Python 3.11 brings a pip of 2023, which takes three times as long to find and fetch what is in the lock.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --upgrade "pip>=26"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.lock
	@# All cores compile, where pip would with one; what is not for this Python, which some packages bring, cannot be.
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib >/dev/null 2>&1 || true
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

retrain: $(VENV)/ready ## the monthly loop: tickets in, judged and registered model and services out
	@mkdir -p $(PREFECT_HOME)
	@python -m flows.monthly_retrain

search: $(VENV)/ready ## measure the frontier of size, speed and quality anew, for hours; goes on after a kill
	@[ -d data/tickets ] || ticket-sentiment collect
	@dvc repro prepare
	@ticket-sentiment search

replay: $(VENV)/ready ## months of the whole loop, live, with and without retraining; three quarters of an hour
	@python -m benchmarks.replay

serve: $(VENV)/ready ## answer on localhost:3000 with the registered champion
	@ticket-sentiment serve

reconcile: $(VENV)/ready ## carry out what a person moved in MLflow, where no deployment does it every minute
	@python -m flows.reconcile

images: $(VENV)/ready ## container images of the registered champion (DEVICE=cpu, BASE_IMAGE=..., ENGINE=podman)
	@ticket-sentiment images $(OF_ENGINE) $(if $(BASE_IMAGE),--base-image $(BASE_IMAGE)) $(if $(DEVICE),--device $(DEVICE))

image-test: $(VENV)/ready ## start the CPU image of `make images` read-only, ask it, kill a worker, stop it
	@image=$$(DEVICE=cpu $(OF_IMAGES) ids) && ENGINE=$${ENGINE:-$$($(OF_IMAGES) engine)} TICKET_SENTIMENT_IMAGE=$$image python -m pytest -s tests/registry/test_images.py

edge: $(VENV)/ready ## the registered champion for devices and browsers, in dist/edge (BUNDLE=models/release/edge)
	@ticket-sentiment edge $(if $(BUNDLE),--bundle $(BUNDLE))

scan: $(VENV)/ready ## look for secrets and tickets in the champion's Bentos, or in IMAGE=... (a folder, an image)
	@ticket-sentiment scan $(OF_ENGINE) $${IMAGE:+"$$IMAGE"}

scan-images: $(VENV)/ready ## the same in every layer of the images of `make images`
	@$(OF_IMAGES) scan

sbom: $(VENV)/ready ## bills of materials (CycloneDX) of the images of `make images`, in var/
	@$(OF_IMAGES) bills

rollback: $(VENV)/ready ## back to the champion before, or to VERSION=..., with a REASON="..."
	@ticket-sentiment rollback --reason "$${REASON:-No reason given.}" $${VERSION:+--to "$$VERSION"}

ui: $(VENV)/ready ## MLflow on localhost:5000, unless it is a server already, and Prefect on localhost:4200
	@mkdir -p $(PREFECT_HOME)
	@scripts/ui

# A file at a time in each of three processes, with one thread a process: for two cores, as tests often wait for a
# server. In the order of tests/conftest.py, the longest files first, where xdist would begin with those of most tests.
test: $(VENV)/ready ## all tests
	OMP_NUM_THREADS=1 python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: $(VENV)/ready ## style, who may import whom, and the workflows
	ruff check .
	ruff format --check .
	lint-imports
	@python -m deploy.ci.workflows

workflows: $(VENV)/ready ## hold .github/workflows against their schema and rules, and read all shell scripts
	@python -m deploy.ci.workflows

manifests: $(VENV)/ready ## render deploy/kubernetes, hold it against schemas and policies, parse its queries
	@python -m deploy.manifests

monitoring: $(VENV)/ready ## write rules, dashboards and alarms from params.yaml, and test every alert
	@python -m deploy.monitoring

format: $(VENV)/ready ## put the code into shape
	ruff check --fix .
	ruff format .

lock: $(VENV)/ready ## write requirements.lock and the serving images' packages from what is installed now
	scripts/lock
	scripts/serving-requirements

# What the workflows run, beside the targets above: docs/ci.md. Whatever they hand over comes by the environment, and
# is read by the shell ($$NAME), never written into its line by make ($(NAME)).
ci: ## all that CI runs
	.ci/run

extras: $(VENV)/ready ## EXTRAS=s3,hub: install those extras of pyproject.toml, too; what is in the lock stays as it is
	@test -z "$$EXTRAS" || \
		{ test $(VENV)/extras -nt $(VENV)/ready && test "$$(cat $(VENV)/extras)" = "$$EXTRAS"; } || \
		{ $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint requirements.lock --editable ".[$$EXTRAS]" && \
		echo "$$EXTRAS" >$(VENV)/extras; }

update: ## bring what was merged in git here, where flows work by themselves; what they wrote stays
	@scripts/update

state-pull: $(VENV)/ready ## tickets and stages as git names them, from the team's DVC remote
	@scripts/require-stores
	@dvc pull --allow-missing

champion-state: $(VENV)/ready ## the tickets from which the versions in those images were made, as their snapshots name them
	@scripts/require-stores
	@images=$$($(OF_IMAGES) names) && scripts/champion-state "$$images"

state-push: $(VENV)/ready ## what this retraining made, to the team's DVC remote
	@dvc push

pr-report: $(VENV)/ready ## what changed since BASE=origin/main, as Markdown with metrics and plots (var/pull-request.md)
	@python -m deploy.ci.report
	@cat var/pull-request.md >> "$${GITHUB_STEP_SUMMARY:-/dev/stdout}"

pr-comment: ## put var/pull-request.md under PULL_REQUEST=number; the previous comment is overwritten
	@gh pr comment "$$PULL_REQUEST" --edit-last --create-if-none --body-file var/pull-request.md

versions-push: ## the snapshots of registered versions (git tags model/vN) to origin, which a hotfix starts from
	@scripts/push-versions

retrain-change: $(VENV)/ready ## a pull request with what this retraining wrote to git
	@scripts/open-change "retrain/$$(date -u +%Y-%m)" "Retrained in $$(date -u +%Y-%m)" var/pull-request.md

registry-login: ## log the engine in to REGISTRY as REGISTRY_USER, with REGISTRY_TOKEN
	@engine=$${ENGINE:-$$(command -v docker >/dev/null && echo docker || echo podman)} && \
		printf %s "$$REGISTRY_TOKEN" | "$$engine" login --username "$$REGISTRY_USER" --password-stdin "$$REGISTRY"

images-push: $(VENV)/ready ## the images of `make images` to IMAGE_REPOSITORY; their digests to var/images.json
	@$(OF_IMAGES) push

images-sign: $(VENV)/ready ## sign the pushed images and attest their bills of materials (cosign, keyless)
	@$(OF_IMAGES) sign

manifests-digest: $(VENV)/ready ## write the digests of var/images.json into the overlay OVERLAY=cpu
	@$(OF_IMAGES) digest

release-change: $(VENV)/ready ## a pull request with those manifests
	@scripts/open-change "release/$$(date -u +%Y-%m-%d)" "Images of $$(date -u +%Y-%m-%d)" var/images.json
