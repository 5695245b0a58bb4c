# Sallyport's errands. `make help` lists them.

GO   ?= go
LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
LINTFLAGS := --allow-parallel-runners --max-issues-per-linter 0 --max-same-issues 0

# How long each fuzz target runs in `make fuzz`.
FUZZTIME ?= 20s

# Packages whose tests hold pages of docs/reference to the code.
PAGES = $(sort $(dir $(shell grep -rl --include=*_test.go 'func TestReference' internal)))

.DEFAULT_GOAL := help

.PHONY: help
help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/sallyport
	$(GO) build -trimpath -o bin/sallyport ./cmd/sallyport

.PHONY: demo
demo: build ## send files both ways through a tunnel on this machine
	bin/sallyport demo --once
	@printf '\nNow play with it: start the demo that stays, and follow what it says.\n\n    bin/sallyport demo\n'

.PHONY: test
test: ## get what the tests need, then run them all
	@sh scripts/test.sh

# What make torture does: runs with kills, power cuts, and the first seed of both.
RUNS ?= 500
CUTS ?= 24
SEED ?= 1

.PHONY: torture
torture: ## kill the program and cut its power while it carries files
	@GOTESTFLAGS="-count=1 -timeout 3h -parallel 8" sh scripts/test.sh ./internal/torture -update \
		-torture.runs $(RUNS) -torture.cuts $(CUTS) -torture.seed $(SEED)
	@grep '^|' docs/reference/torture.md

# How many transfers make cuts cuts, of each direction, with each server, by each means.
TRANSFERS ?= 50

.PHONY: cuts
cuts: ## cut transfers through a tunnel, and ask client and server what they saw
	@GOTESTFLAGS="-count=1 -timeout 1h -parallel 8" sh scripts/test.sh ./internal/e2e -run '^TestCuts$$' -update \
		-e2e.cuts $(TRANSFERS) -e2e.seed $(SEED)
	@grep '^|' docs/reference/cuts.md

.PHONY: interop
interop: ## speak with other servers in every mode, with many files and large ones
	@GOTESTFLAGS="-count=1 -parallel 8 -race=false" sh scripts/test.sh ./internal/e2e -run "^TestInterop" -e2e.interop

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (20s)
	@for dir in $$(grep -rl --include=*_test.go '^func Fuzz' internal | xargs -n 1 dirname | sort -u); do \
		for target in $$(cat $$dir/*_test.go | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p'); do \
			echo "== $$dir $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s ./$$dir || exit 1; \
		done; \
	done

.PHONY: lint
lint: ## look for mistakes and bad style
	@if command -v golangci-lint >/dev/null && golangci-lint version 2>/dev/null | grep -q 'version v\?2\.15\.0 '; \
		then golangci-lint run $(LINTFLAGS) ./...; else $(GO) run $(LINT) run $(LINTFLAGS) ./...; fi

# Which sets make bench measures, and how often.
SETS  ?= TestSite|TestClient
TIMES ?= 5

.PHONY: bench
bench: ## measure beside other servers and clients, and hold the figures to their bars
	@sh scripts/bench.sh -run '^($(SETS))$$' -update -bench.full -bench.times $(TIMES); status=$$?; \
		grep '^|' docs/reference/benchmarks.md; exit $$status

.PHONY: docs
docs: ## write the pages that are drawn from the code anew
	$(GO) test -run '^TestReference' $(addprefix ./,$(PAGES)) -update
	$(GO) test . ./internal/cli ./internal/config
