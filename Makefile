# Duet. The first two targets need Go and make, nothing else. `make` alone lists all of them.

.DEFAULT_GOAL := help
SHELL := /bin/bash

PORT ?= 4566
# Where `make redrive` finds the AWS APIs: the local cloud, or AWS itself when empty.
ENDPOINT ?= http://localhost:$(PORT)
# Where tools are put that a target installs for itself.
CACHE := $(CURDIR)/.cache
GOBIN := $(CACHE)/bin

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# ---- Go and make alone -------------------------------------------------------------------------

.PHONY: run
run: ## Run the whole stack on this machine, reload on changes (PORT=4566, ARGS="--data .duet …")
	@mkdir -p bin && go build -o bin/localstack ./localstack
	@exec bin/localstack --port $(PORT) --watch $(ARGS)

.PHONY: bill
bill: ## What AWS would charge for what the local cloud has done so far
	@go run ./localstack/cmd/bill --endpoint http://localhost:$(PORT)

.PHONY: test
test: ## Run everything that needs Go alone
	go test ./...

.PHONY: test-process
test-process: ## Run the black-box suites with every function as the process that is deployed
	@./.ci/test-process

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
lint-template: $(CACHE)/cfn-lint/bin/cfn-lint ## Check the template with cfn-lint and by what SAM makes of it
	$(CACHE)/cfn-lint/bin/cfn-lint template.yaml infra/*.yaml
	$(CACHE)/cfn-lint/bin/python .ci/check_template.py template.yaml

.PHONY: lint-asyncapi
lint-asyncapi: ## Check docs/asyncapi.yaml with AsyncAPI's own parser (installs Node by apt if missing)
	@./.ci/lint-asyncapi

.PHONY: sam-build
sam-build: $(CACHE)/sam-cli/bin/sam ## Build the functions as for AWS, with the SAM CLI
	SAM_CLI_TELEMETRY=0 $(CACHE)/sam-cli/bin/sam build --build-dir $(CACHE)/sam --cache-dir $(CACHE)/sam-cache

.PHONY: test-aws-cli
test-aws-cli: $(CACHE)/aws-cli/bin/aws ## Use a local cloud by the AWS CLI
	@./.ci/aws-cli $(CACHE)/aws-cli/bin/aws

.PHONY: test-differential
test-differential: ## Compare the local DynamoDB with AWS's DynamoDB Local, which is fetched (needs Java 17)
	@./.ci/dynamodb-local ./.ci/differential

.PHONY: test-dynamodb-local
test-dynamodb-local: ## Run the black-box suites with the tables on DynamoDB Local, which is fetched (needs Java 17)
	@./.ci/dynamodb-local ./.ci/test-dynamodb-local

.PHONY: test-page
test-page: ## Look at the page /_local/ in Chromium while people chat (installs it by apt if missing)
	@./.ci/test-page

.PHONY: test-cognito
test-cognito: $(CACHE)/moto/bin/moto_server ## Sign up, sign in and chat with the user pool in moto, which is installed (needs Python)
	@./.ci/cognito $(CACHE)/moto/bin/moto_server

.PHONY: redrive
redrive: ## Deliver again what was given up (ARGS="--dry-run"; AWS: ARGS="--queue-url URL" ENDPOINT=)
	go run ./cmd/redrive $(if $(ENDPOINT),--endpoint $(ENDPOINT)) $(ARGS)

.PHONY: smoke
smoke: ## Run `make run` and let two real duet processes chat
	@./.ci/smoke

.PHONY: check
check: lint vulncheck test race lint-template lint-asyncapi sam-build test-process test-aws-cli test-page test-differential test-dynamodb-local test-cognito smoke ## Everything that CI runs

$(GOBIN)/staticcheck:
	GOBIN=$(GOBIN) go install $(STATICCHECK)
$(GOBIN)/govulncheck:
	GOBIN=$(GOBIN) go install $(GOVULNCHECK)
# Python tools live in environments of their own: their dependencies exclude each other.
define python_tool
$(CACHE)/$(1)/bin/$(2):
	python3 -m venv $(CACHE)/$(1)
	$(CACHE)/$(1)/bin/pip install --quiet --disable-pip-version-check '$(3)'
endef
$(eval $(call python_tool,cfn-lint,cfn-lint,cfn-lint==1.51.0))
$(eval $(call python_tool,aws-cli,aws,awscli==1.45.11))
comma := ,
$(eval $(call python_tool,moto,moto_server,moto[cognitoidp$(comma)server]==5.2.5))
$(eval $(call python_tool,sam-cli,sam,aws-sam-cli==1.170.0))

# ---- AWS -----------------------------------------------------------------------------------------

.PHONY: deploy
deploy: ## Build and deploy to AWS (needs the SAM CLI and credentials)
	sam build
	sam deploy --guided
