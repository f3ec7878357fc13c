# Duet. The first two targets need Go and make, nothing else. `make` alone lists all of them.

.DEFAULT_GOAL := help
SHELL := /bin/bash

PORT ?= 4566
# Where tools are put that a target installs for itself.
CACHE := $(CURDIR)/.cache
GOBIN := $(CACHE)/bin
VENV := $(CACHE)/venv

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
CFN_LINT := cfn-lint==1.51.0

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# ---- Go and make alone -------------------------------------------------------------------------

.PHONY: run
run: ## Run the whole stack on this machine (PORT=4566, ARGS="--data .duet …")
	@mkdir -p bin && go build -o bin/localstack ./localstack
	@exec bin/localstack --port $(PORT) $(ARGS)

.PHONY: test
test: ## Run everything that needs Go alone
	go test ./...

.PHONY: race
race: ## Run the same under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race ./...

.PHONY: bench
bench: ## Load a local cloud of its own and report latency, throughput and memory
	@./.ci/bench

.PHONY: build
build: ## Build the local cloud and the terminal client into bin/
	@mkdir -p bin
	go build -o bin/ ./localstack ./cmd/duet

# ---- What needs more finds or installs it ------------------------------------------------------

.PHONY: lint
lint: $(GOBIN)/staticcheck ## Check the Go code: gofmt, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { echo "gofmt is needed by:"; gofmt -l .; exit 1; }
	go vet ./...
	$(GOBIN)/staticcheck ./...

.PHONY: vulncheck
vulncheck: $(GOBIN)/govulncheck ## Scan the dependencies for known vulnerabilities
	@./.ci/vulncheck $(GOBIN)/govulncheck

.PHONY: lint-template
lint-template: $(VENV)/bin/cfn-lint ## Check the template with cfn-lint and by what SAM makes of it
	$(VENV)/bin/cfn-lint template.yaml
	$(VENV)/bin/python .ci/check_template.py template.yaml

.PHONY: sam-build
sam-build: $(VENV)/bin/sam ## Build the functions as for AWS, with the SAM CLI
	SAM_CLI_TELEMETRY=0 $(VENV)/bin/sam build --build-dir $(CACHE)/sam --cache-dir $(CACHE)/sam-cache

.PHONY: test-aws-cli
test-aws-cli: $(VENV)/bin/aws ## Use a local cloud by the AWS CLI
	@./.ci/aws-cli $(VENV)/bin/aws

.PHONY: smoke
smoke: ## Run `make run` and let two real duet processes chat
	@./.ci/smoke

.PHONY: check
check: lint vulncheck test race lint-template sam-build test-aws-cli smoke ## Everything that CI runs

$(GOBIN)/staticcheck:
	GOBIN=$(GOBIN) go install $(STATICCHECK)
$(GOBIN)/govulncheck:
	GOBIN=$(GOBIN) go install $(GOVULNCHECK)
$(VENV)/bin/python:
	python3 -m venv $(VENV)
$(VENV)/bin/cfn-lint: $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet '$(CFN_LINT)'
$(VENV)/bin/sam: $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet aws-sam-cli
$(VENV)/bin/aws: $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet awscli

# ---- AWS -----------------------------------------------------------------------------------------

.PHONY: deploy
deploy: ## Build and deploy to AWS (needs the SAM CLI and credentials)
	sam build
	sam deploy --guided
