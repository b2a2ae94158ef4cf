# "make help" lists the targets.

GO          ?= go
STATICCHECK ?= $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
CC          ?= cc
# Tests run real servers: more packages at a time than this make each other slow.
TEST_P       ?= 2
# Tests of one package at once. Most of them wait for servers and timers.
TEST_PARALLEL ?= 4
TEST_TIMEOUT ?= 25m
FUZZTIME     ?= 10s
SOAK_TIMEOUT ?= 12h
# A program that is not there yet is left out.
PROGRAMS := $(notdir $(wildcard cmd/polar_basebackup cmd/polarcast))

.DEFAULT_GOAL := build
.PHONY: build test lint bench fuzz soak pfsd-double demo deps clean help

build: ## bin/polar_basebackup and bin/polarcast
	@mkdir -p bin
	@for p in $(PROGRAMS); do echo "$(GO) build -o bin/$$p ./cmd/$$p"; $(GO) build -o bin/$$p ./cmd/$$p || exit 1; done

deps: ## install what the tests and the demonstration need (PostgreSQL; as root or with sudo)
	@scripts/install-deps.sh

test: deps pfsd-double ## all tests, with the race detector, against real servers
	$(GO) test -race -p $(TEST_P) -parallel $(TEST_PARALLEL) -timeout $(TEST_TIMEOUT) ./...

lint: ## gofmt, go vet, staticcheck
	@files=$$(gofmt -l .) && { test -z "$$files" || { echo "gofmt has to be run on:"; echo "$$files"; exit 1; }; }
	$(GO) vet ./...
	$(STATICCHECK) ./...

bench: build ## polar_basebackup against pg_basebackup, in alternation; then the benchmarks of the packages
	@scripts/bench.sh
	$(GO) test -run '^$$' -bench . -benchmem -timeout 1h ./...

fuzz: ## every fuzz target for FUZZTIME (10s)
	@GO="$(GO)" scripts/fuzz.sh $(FUZZTIME)

soak: deps pfsd-double ## hours: every test with all its variants, versions and rounds
	POLARCAST_SOAK=1 $(GO) test -race -p 1 -timeout $(SOAK_TIMEOUT) -v ./...

pfsd-double: ## bin/libpfsd_double.so: PFS for tests, in a local directory
	@mkdir -p bin
	@if ls testenv/pfsdouble/*.c >/dev/null 2>&1; then \
	  $(CC) -shared -fPIC -O1 -o bin/libpfsd_double.so testenv/pfsdouble/*.c -lpthread; fi

demo: build ## a primary, a backup of it while it is written to, and the standby made of it
	@scripts/demo.sh

clean: ## remove what was built
	rm -rf bin

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS='	' read -r t d; do printf '%-12s %s\n' "$$t" "$$d"; done
