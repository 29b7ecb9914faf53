# `make run` and `make test` work on a fresh clone. `make` alone lists the rest.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
# What `cargo test` builds besides the tests: nothing is compiled for the browser's tests alone.
export GATEWAY_BINARY ?= $(abspath $(TARGET_DIR))/debug/integrations-gateway

PAGE := playground/dist/index.html
PAGE_SOURCES := $(shell find playground/src playground/public -type f) $(addprefix playground/,index.html package.json tsconfig.json vite.config.ts)
step = @printf '\n== %s\n' "$(1)"

.PHONY: help
help: ## Lists these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Starts a gateway to play with, on an embedded database; more flags of `serve` by ARGS="..."
	@if command -v npm >/dev/null; then $(MAKE) playground || echo "Building the page failed: this gateway has no /playground"; \
	else echo "Node.js is missing: this gateway has no /playground"; fi
	cargo run --locked -- serve --dev $(ARGS)

.PHONY: test
test: ## Everything that CI checks; as root on Debian it installs what it needs
	@scripts/setup
	$(call step,Format)
	@cargo fmt --check
	$(call step,Playground)
	@$(MAKE) playground
	$(call step,Clippy)
	@cargo clippy --locked --quiet --all-targets -- -D warnings
	$(call step,Rust tests)
	@cargo test --locked --quiet
	$(call step,Tests from outside)
	@$(MAKE) test-outside
	@printf '\nAll checks passed.\n'

.PHONY: test-outside
test-outside: tests/outside/node_modules/.package-lock.json
	@cd tests/outside && node --test --test-reporter=spec

.PHONY: lint
lint: playground/node_modules/.package-lock.json ## Format, Clippy and TypeScript, without running anything
	cargo fmt --check
	cargo clippy --locked --quiet --all-targets -- -D warnings
	cd playground && npm run --silent check

.PHONY: fmt
fmt: ## Formats the Rust code
	cargo fmt

.PHONY: bench
bench: benches/mercurius/node_modules/.package-lock.json ## What the claims about performance rest on; one subject by ARGS=list
	cargo bench --locked -- $(ARGS)

FUZZ_SECONDS ?= 600
.PHONY: fuzz
fuzz: ## Looks for bytes that break the gate, FUZZ_SECONDS long; wants a nightly compiler, a C++ one, and cargo-fuzz
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	@mkdir -p fuzz/found/gate
	cargo +nightly fuzz run gate fuzz/found/gate fuzz/corpus/gate -- -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -timeout=10

.PHONY: audit
audit: ## The dependencies' licences, bans, sources and advisories; some of them by CHECKS="bans licenses"
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny --locked check $(CHECKS)

.PHONY: schema
schema: ## Writes schema.graphql, the manifests' JSON Schema and the tables of their reference anew from the code
	cargo run --locked --quiet -- schema > schema.graphql.new
	mv schema.graphql.new schema.graphql
	cargo run --locked --quiet -- connectors schema > schema.new
	mv schema.new connectors/manifest.schema.json
	cargo run --locked --quiet -- connectors reference connectors/README.md > schema.new
	mv schema.new connectors/README.md

.PHONY: setup
setup: ## Installs what the tests need (as root on Debian), or says what is missing
	@scripts/setup

.PHONY: playground
playground: $(PAGE) ## Builds the GraphiQL page that the binary embeds
	@:

$(PAGE): $(PAGE_SOURCES) playground/node_modules/.package-lock.json
	@cd playground && npm run --silent check && npm run --silent build -- --logLevel warn

%/node_modules/.package-lock.json: %/package-lock.json %/.npmrc
	@cd $* && npm ci --loglevel=error >/dev/null
	@touch $@
