# make run    shows the fence at work; it needs nothing but Go
# make test   installs what the tests need, and runs all of them
# make lint   installs the linters, and runs them
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# The releases that the fence is tested against, one of each minor release, the newest last.
AIRFLOW := 3.0.6 3.1.8 3.2.2 3.3.2 3.4.0b2
# The release that airflow-routes looks at, and fuzz compares with.
VERSION ?= $(lastword $(AIRFLOW))

GOLANGCI_LINT_VERSION := v2.15.0
GOFUMPT_VERSION       := v0.12.0
KUSTOMIZE_VERSION     := v5.7.1
ACTIONLINT_VERSION    := v1.7.12
LICENCES_VERSION      := v0.11.1
CYCLONEDX_VERSION     := v1.10.0
TOOLS         := $(CURDIR)/.cache/bin
GOLANGCI_LINT := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)/golangci-lint
GOFUMPT       := $(TOOLS)/gofumpt-$(GOFUMPT_VERSION)/gofumpt
KUSTOMIZE     := $(TOOLS)/kustomize-$(KUSTOMIZE_VERSION)/kustomize
ACTIONLINT    := $(TOOLS)/actionlint-$(ACTIONLINT_VERSION)/actionlint
LICENCES      := $(TOOLS)/go-licence-detector-$(LICENCES_VERSION)/go-licence-detector
CYCLONEDX     := $(TOOLS)/cyclonedx-gomod-$(CYCLONEDX_VERSION)/cyclonedx-gomod

# What a release has binaries for.
PLATFORMS := linux/amd64 linux/arm64 darwin/arm64

# The tags with which it is built leave modules out.
LIST_LICENCES = GOFLAGS=-tags=$$(sed -n "s/^tags=//p" scripts/build) go run ./scripts/licenses $(LICENCES) ./cmd/dagfence $(PLATFORMS) >$(TOOLS)/THIRD_PARTY_LICENSES

# Tests that drive the binary, and real servers: most of their time they wait, and
# the race detector has nothing to see in them.
DRIVING := ./tests/airflow ./tests/faults ./tests/image ./tests/monitoring ./tests/scale ./tests/starts
# All other packages that have tests.
TESTED = $$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./... | grep -vE '/tests/(airflow|faults|image|monitoring|scale|starts)$$')

# What decides is covered above this many per cent, each package by its own tests.
COVERAGE := 90
COVERED  := ./caddymodule/route ./caddymodule/identity ./caddymodule/keyring ./caddymodule/decide ./config ./lookup ./resolver

# How long make soak takes, and how many rows make scale has in each table.
SOAK := 30m
ROWS := 1000000

# How many requests and tokens make fuzz compares.
REQUESTS := 1000000
TOKENS   := 300000

.PHONY: help run build test fuzz soak scale airflow-routes lock tidy lint licenses release clean

help: ## lists what there is to make
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

run: build ## shows the fence at work, with everything embedded
	bin/dagfence demo

build: ## builds bin/dagfence, as it is shipped
	scripts/build bin/dagfence

test: export DAGFENCE_TEST_SERVERS := required
test: export DAGFENCE_TEST_BINARY := $(CURDIR)/bin/dagfence
# Nobody's own ~/airflow/airflow.cfg.
test: export AIRFLOW_CONFIG := /dev/null
# tests/deploy renders the manifests with it.
test: export PATH := $(dir $(KUSTOMIZE)):$(PATH)
test: build $(KUSTOMIZE) ## installs what the tests need, and runs all of them
	scripts/setup
	printf '%s\n' $(AIRFLOW) | xargs -P 2 -n 1 scripts/airflow-env
	scripts/python-env kubernetes-validate >/dev/null
	bin/dagfence demo --check
	# Two packages at a time, because many start servers of their own.
	go test -race -count=1 -p 2 -timeout 20m $(TESTED)
	# A fleet in one process; of the others of ./tests/scale the race detector sees nothing.
	go test -race -short -count=1 -timeout 10m -run TestSidecars_MoreDoNot ./tests/scale
	# Without the race detector, allocations are counted too.
	scripts/coverage $(COVERAGE) $(COVERED)
	go test -count=1 -p 2 -timeout 30m ./caddymodule $(DRIVING)

fuzz: export DAGFENCE_TEST_SERVERS := required
fuzz: export DAGFENCE_FUZZ_AIRFLOW := $(VERSION)
fuzz: ## compares generated requests and tokens with the reading of Airflow VERSION, others each time
	scripts/airflow-env $(VERSION)
	DAGFENCE_FUZZ_REQUESTS=$(REQUESTS) DAGFENCE_FUZZ_SEED=$$RANDOM go test -count=1 -v -timeout 3h -run TestArrival_IsWhatWasJudged ./tests/router
	DAGFENCE_FUZZ_TOKENS=$(TOKENS) go test -count=1 -v -timeout 1h -run TestToken_RefusedByAirflow ./tests/tokens

soak: export DAGFENCE_TEST_SERVERS := required
soak: ## loads a fence and all that it leans on for half an hour, and looks at what it takes; ends it thousands of times
	DAGFENCE_SOAK=$(SOAK) go test -count=1 -v -timeout 12h -run Soak ./tests/scale
	DAGFENCE_SOAK=$(SOAK) go test -count=1 -v -timeout 2h ./tests/starts

scale: export DAGFENCE_TEST_SERVERS := required
scale: ## measures what stands in docs/scaling.md, with a million rows in each table
	DAGFENCE_SCALE_ROWS=$(ROWS) DAGFENCE_SOAK=10s go test -count=1 -v -timeout 1h ./tests/scale
	go test -count=1 -v -run Million ./resolver

airflow-routes: build ## says what the table of endpoints lacks of Airflow VERSION
	airflow=$$(scripts/airflow-env $(VERSION)) && \
		{ $$airflow/bin/python scripts/airflow-routes.py >bin/airflow-$(VERSION).tsv 2>bin/airflow-routes.log || { cat bin/airflow-routes.log >&2; exit 1; }; }
	bin/dagfence routes --compare bin/airflow-$(VERSION).tsv

lock: ## renews scripts/locks, what the Python environments are made of; of one release with VERSION=
	scripts/airflow-lock $(if $(filter command line,$(origin VERSION)),$(VERSION))

tidy: ## renews go.mod and go.sum, here and of the plugin's test, and the licences
	go mod tidy
	go -C tests/plugin/caddy mod tidy
	$(MAKE) licenses

lint: $(GOLANGCI_LINT) $(GOFUMPT) $(ACTIONLINT) $(LICENCES) ## installs the linters, and runs them
	go mod verify
	go mod tidy -diff
	go -C tests/plugin/caddy mod tidy -diff
	unformatted=$$($(GOFUMPT) -l .); [[ -z $$unformatted ]] || { echo "not as gofumpt formats: $$unformatted" >&2; exit 1; }
	go vet ./...
	$(GOLANGCI_LINT) run ./...
	tests/lint/planted $(GOLANGCI_LINT)
	$(ACTIONLINT) -shellcheck= -pyflakes=
	$(LIST_LICENCES)
	diff THIRD_PARTY_LICENSES $(TOOLS)/THIRD_PARTY_LICENSES >&2 || \
		{ echo "THIRD_PARTY_LICENSES is not what is linked (see above): run make licenses" >&2; exit 1; }
	tests/lint/planted-licences $(LICENCES)

licenses: $(LICENCES) ## writes THIRD_PARTY_LICENSES anew
	$(LIST_LICENCES)
	mv $(TOOLS)/THIRD_PARTY_LICENSES THIRD_PARTY_LICENSES

release: $(CYCLONEDX) ## builds what a release has into dist/
	scripts/release $(CYCLONEDX) $(PLATFORMS)

$(GOLANGCI_LINT):
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

$(GOFUMPT):
	GOBIN=$(@D) go install mvdan.cc/gofumpt@$(GOFUMPT_VERSION)

$(KUSTOMIZE):
	GOBIN=$(@D) go install sigs.k8s.io/kustomize/kustomize/v5@$(KUSTOMIZE_VERSION)

$(ACTIONLINT):
	GOBIN=$(@D) go install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)

$(LICENCES):
	GOBIN=$(@D) go install go.elastic.co/go-licence-detector@$(LICENCES_VERSION)

# Its own checksums are in what it writes.
$(CYCLONEDX):
	GOBIN=$(@D) GOFLAGS=-trimpath CGO_ENABLED=0 go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION)

clean: ## removes what was built, and the tools
	rm -rf bin dist .cache
