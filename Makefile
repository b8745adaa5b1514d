# weft: everything a person or CI runs. A bare `make` lists the targets.
SHELL := /bin/bash
ARCH := $(if $(filter aarch64,$(shell uname -m)),arm64,x64)
NODE := node_modules/node-linux-$(ARCH)/bin/node
BIN := node_modules/.bin
BIOME := node_modules/@biomejs/cli-linux-$(ARCH)/biome
DESTDIR ?=
export PATH := $(CURDIR)/node_modules/node-linux-$(ARCH)/bin:$(CURDIR)/$(BIN):$(PATH)
# npm must not look for a newer version of itself, and needs no prompt.
export npm_config_update_notifier := false
export npm_config_fund := false
export npm_config_audit := false

ADDON := native/build/weft.node
SHIM := native/shim/build/weft-shim
PAUSE := native/pause/build/pause
NATIVE_SOURCES := $(wildcard native/*.cc native/*.h native/Makefile)

.DEFAULT_GOAL := help
.PHONY: help setup build bundle dist/root demo test test-one test-unit test-netns test-runtime test-browser test-uml test-faults test-faults-proxy \
  test-soak fuzz judge-policy manifests image release test-sanitized verify format golden settings-page reference-pages bench-proxy bench-ipvs bench-cni bench-fabric bench-policy bench-bgp bench-flows install clean

help: ## list the targets
	@echo 'weft: targets (each sets up what it needs first, and no more)'
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: ## install missing Debian packages and npm modules
	@scripts/setup.sh

# Modules alone: what is only built needs no packages of tests.
node_modules/.package-lock.json: package.json package-lock.json
	@scripts/setup-modules.sh

build: node_modules/.package-lock.json $(ADDON) $(SHIM) $(PAUSE) ## build the addon, the CNI shim and pause

$(ADDON): $(NATIVE_SOURCES) | node_modules/.package-lock.json
	@echo 'native: building the addon'
	@$(MAKE) --no-print-directory -s -j2 -C native

$(SHIM): native/shim/weft-shim.c native/shim/node-flags native/shim/Makefile | node_modules/.package-lock.json
	@scripts/install-packages.sh build musl-tools
	@echo 'native: building the CNI shim'
	@$(MAKE) --no-print-directory -s -C native/shim

$(PAUSE): native/pause/pause.c native/pause/Makefile | node_modules/.package-lock.json
	@scripts/install-packages.sh build musl-tools
	@echo 'native: building pause'
	@$(MAKE) --no-print-directory -s -C native/pause

demo: setup dist/root ## three nodes, five pods, Services, a client (FABRIC=auto|vxlan|host-gw SOURCE=manifests|etcd): build it, check it, draw it
	@$(NODE) test/demo/demo.ts

test: setup dist/root ## all tests (root; namespaces of their own; user-mode Linux)
	@scripts/test.sh

test-one: setup build ## one file or folder of tests: T=test/unit/net/ip.test.ts, with NAME='words of a title' only those
	@scripts/test-one.sh '$(T)' '$(NAME)'

test-unit: setup build ## unit tests only (no root)
	@$(BIN)/vitest run --project unit

test-netns: setup dist/root ## tests in network namespaces (root)
	@scripts/alone.sh vitest run --project netns

DEBIAN_ARCH := $(if $(filter arm64,$(ARCH)),arm64,amd64)
test-runtime: setup dist/root ## containerd and podman from Debian, and the images (root)
	@scripts/setup-runtimes.sh
	@scripts/image.sh $(DEBIAN_ARCH)
	@scripts/release.sh $(DEBIAN_ARCH)
	@$(if $(filter amd64,$(DEBIAN_ARCH)),scripts/image.sh arm64)
	@scripts/test.sh runtime

test-browser: setup dist/root ## the page in Debian's Chromium; dashboard and alerts in its promtool (root)
	@scripts/setup-browser.sh
	@scripts/alone.sh scripts/test.sh browser

test-uml: setup build ## what this kernel may lack (IPVS, bridge VLANs), under user-mode Linux (root)
	@scripts/test-uml.sh

# Numbers; one of the clock's unless given.
SEEDS ?=
ROUNDS ?= 1000
test-faults: setup dist/root ## ADDs and DELs at once and SIGKILL at random instants, ROUNDS for each of SEEDS; counts what is left
	@$(NODE) test/faults/main.ts $(ROUNDS) '$(SEEDS)'

SECONDS_EACH ?= 60
MEDDLE ?= both
test-faults-proxy: setup dist/root ## 1,000 changes/s and SIGKILL for each of SEEDS, without and with (MEDDLE=0|1|both) meddling; then kernel = model
	@$(NODE) test/faults/proxy.ts $(SECONDS_EACH) '$(SEEDS)' $(MEDDLE)

CASES ?=
judge-policy: build ## the policy evaluator against the verdicts in CASES=FILE.json[.gz]
	@$(NODE) test/judge/policy-cases.ts $(CASES)

MINUTES ?= 10
test-soak: setup dist/root ## a day's calls, pods, scrapes and changes in MINUTES; then descriptors and memory as before
	@$(NODE) test/soak/main.ts $(MINUTES)

RUNS ?= 100000
fuzz: build ## RUNS random CNI calls: each is answered, and only with JSON
	@FUZZ_RUNS=$(RUNS) NO_COLOR=1 $(BIN)/vitest run --project unit test/unit/cni/fuzz.test.ts

test-sanitized: setup build ## the addon under ASan and UBSan
	@scripts/test-sanitized.sh

verify: build ## format, lint, types, import rules, native warnings as errors
	@$(BIOME) check --colors=off --error-on-warnings
	@$(BIN)/tsc -p .
	@$(BIN)/tsc -p src/ui
	@$(BIN)/vitest run --project unit test/unit/imports.test.ts

format: build ## rewrite sources in the project's format
	@$(BIOME) check --write

reference-pages: settings-page ## rewrite docs/commands.md, docs/metrics.md, alerts and dashboard too, from what the code says of itself
	@UPDATE_GOLDEN=1 $(BIN)/vitest run --project unit --update=true test/unit/scripts/reference-pages.test.ts \
	  test/unit/scripts/observability.test.ts

settings-page: build ## rewrite docs/settings.md and the ConfigMap from the tables of settings
	@UPDATE_GOLDEN=1 $(BIN)/vitest run --project unit --update=true test/unit/agent/config/settings-page.test.ts \
	  test/unit/scripts/manifests.test.ts

golden: setup build ## rewrite golden files; read the diff like code
	@UPDATE_GOLDEN=1 $(BIN)/vitest run --project '!uml' --project '!browser' --update

bench-proxy: setup dist/root ## weft's modes and kube-proxy's layout: start, change, connections/s (QUICK=1: 2 min)
	@$(NODE) test/bench/proxy.ts $(if $(QUICK),1 bench-results quick)

bench-ipvs: setup dist/root ## the IPVS mode against iptables-legacy, under user-mode Linux (root)
	@UML_LIMIT=1800 scripts/uml-run.sh node test/bench/ipvs.ts

bench-cni: setup dist/root ## ADD and DEL: agent, standalone, reference plugins; bursts; beside a busy proxy
	@$(NODE) test/bench/cni.ts

bench-fabric: setup build ## the fabric against ip and bridge: start, events, repairs, pod to pod (QUICK=1: 2 min)
	@$(NODE) test/bench/fabric.ts $(if $(QUICK),1)

bench-policy: setup build ## policies: start, single changes, packets against conntrack alone, revocation (QUICK=1: 2 min)
	@$(NODE) test/bench/policy.ts $(if $(QUICK),1 bench-results quick)

bench-bgp: setup build ## 50 nodes and two route reflectors: how long until all kernels are right (QUICK=1: 2 min)
	@$(NODE) test/bench/bgp.ts $(if $(QUICK),1)

bench-flows: setup dist/root ## what following flows costs the agent, and what it does not
	@$(NODE) test/bench/flows.ts

bundle: build
	@$(NODE) scripts/bundle.ts dist

# The installed tree that tests and the demo run, as a node would.
dist/root: bundle
	@scripts/install.sh dist/root

# As a kustomization would have them; empty: as the agent finds them.
export API_SERVER POD_CIDRS SERVICE_CIDRS BACKEND PROXY_MODE NODE_SELECTOR IMAGE
manifests: node_modules/.package-lock.json ## dist/weft.yaml and others; API_SERVER, POD_CIDRS, SERVICE_CIDRS, BACKEND, PROXY_MODE, NODE_SELECTOR, IMAGE
	@$(NODE) scripts/manifests.ts dist

IMAGE_ARCH ?= $(DEBIAN_ARCH)
image: bundle ## dist/weft-image-<arch>.tar for `ctr images import`, and what is in it; IMAGE_ARCH=amd64|arm64
	@scripts/image.sh '$(IMAGE_ARCH)'

release: bundle ## dist/weft-<version>-linux-<arch>.tar.gz for nodes without pods: install.sh, unit, uninstall; IMAGE_ARCH
	@scripts/release.sh '$(IMAGE_ARCH)'

install: bundle ## self-contained tree below DESTDIR: opt/weft and opt/cni/bin/weft
	@scripts/install.sh '$(DESTDIR)'

clean: ## remove everything built
	rm -rf dist bench-results native/build native/build-sanitized native/shim/build native/shim/build-sanitized native/pause/build
