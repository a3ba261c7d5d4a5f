# Callfleet. `make help` lists the targets; `make demo` and `make test` need nothing but this checkout.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

BIN := .venv/bin
CACHE := $${XDG_CACHE_HOME:-$$HOME/.cache}/callfleet
INTEGRATION = PATH="$$(dirname "$$(hack/tools ensure kubectl)"):$$PATH" \
	$(BIN)/pytest -q -n 4 --durations=40 --dist loadgroup --no-loadscope-reorder
PYTHON_CODE := operator/src agent-runtime/src hack/callfleet_hack tests bench

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: venv ## Cluster, operator, agent, and a call that is answered (ARGS=… goes to hack/demo)
	hack/demo $(ARGS)

.PHONY: down
down: ## Remove the demo's cluster and everything that it left on this machine
	hack/cluster down

.PHONY: test
test: check ## What CI runs (the tests on a cluster are `make e2e`)

.PHONY: check
check: venv packages lint types contracts generated chart compose unit integration ## Lint, types, contracts, generated files, chart, compose file, unit and integration tests

.PHONY: generate
generate: venv ## Write the gRPC code, the CRDs and the reference pages again
	hack/generate

.PHONY: cluster
cluster: ## Bring a Kubernetes cluster up (kind where Docker is, else one node from Go modules)
	hack/cluster up

.PHONY: images
images: ## Build the images
	hack/images build all

.PHONY: venv
venv:
	@hack/venv

.PHONY: packages
packages:
	@hack/tools packages --install test

.PHONY: lint
lint: venv ## Format and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

.PHONY: types
types: venv ## mypy, strict
	MYPY_CACHE_DIR="$(CACHE)/mypy" $(BIN)/mypy $(PYTHON_CODE)

.PHONY: contracts
contracts: venv ## The layers that the code keeps
	$(BIN)/lint-imports

.PHONY: generated
generated: venv ## What is generated is up to date
	hack/generate --check

.PHONY: chart
chart: venv ## helm lint, kubeconform and actionlint
	hack/chart check

.PHONY: compose
compose: ## The file for docker compose
	hack/compose check

.PHONY: unit
unit: venv ## Unit tests
	$(BIN)/pytest -q -n auto tests/unit

.PHONY: integration
integration: rigs ## Tests against real PostgreSQL, Redis, kube-apiserver and SIP clients, but for the drills
	$(INTEGRATION) -m "not drill" tests/integration

.PHONY: rigs
rigs: venv packages
	@hack/tools ensure kubernetes kubectl >/dev/null
	hack/tools definitions >/dev/null || echo "tests on definitions of other projects are skipped"
	hack/engines >/dev/null

.PHONY: thorough
thorough: rigs ## All unit and integration tests, the drills too, and their branch coverage (half an hour)
	hack/tools ensure grpcurl certmanager >/dev/null
	rm -f .coverage .coverage.*
	COVERAGE_FILE=.coverage.unit $(BIN)/pytest -q -n auto --cov --cov-report= tests/unit
	COVERAGE_FILE=.coverage.integration $(INTEGRATION) --cov --cov-report= tests/integration
	hack/coverage

.PHONY: e2e
e2e: venv packages ## Tests on a cluster (any KUBECONFIG; without one, a cluster is brought up)
	hack/e2e

.PHONY: bench
bench: venv packages ## The measurements, in full
	$(BIN)/python bench/answer.py --platform --no-limit
	for program in bench/call_setup.py bench/reconcile.py bench/truth.py bench/journal.py bench/services.py bench/providers.py bench/failover.py bench/injection.py bench/idle_call.py bench/streams.py bench/proofs.py; do $(BIN)/python $$program; done
