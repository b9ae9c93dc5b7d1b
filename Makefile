# kubewire: `make lab-iptables` runs the main job, `make test` runs the tests.

PYTHON ?= python3
VENV ?= .venv
KUBEWIRE := $(VENV)/bin/kubewire
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
KIND_VERSION := v1.37.2

# The long suites start no test after UNTIL=SECONDS since the epoch, and report what they left out.
UNTIL_FLAG = $(if $(UNTIL),--until '$(UNTIL)')

# A test that hangs fails by its name, with each thread's place, and the others go on.
HANG = -o faulthandler_timeout=1200 -o faulthandler_exit_on_timeout=true

# REPLICAS=7 K8S=1.34 PROVIDER=netns HOST=local are passed to `kubewire up`.
UP_FLAGS = $(if $(REPLICAS),--replicas '$(REPLICAS)') $(if $(K8S),--kubernetes '$(K8S)') \
	$(if $(PROVIDER),--provider '$(PROVIDER)') $(if $(HOST),--host '$(HOST)')

.DEFAULT_GOAL := help
.PHONY: help setup schema lint test test-unit test-pythons test-e2e test-ci test-all differential mutation test-kind \
	test-vm endurance nightly bench bench-kind clean lock lock-binaries

help:
	@echo "make lab-NAME    create the lab of labs/NAME.yml and verify it   (REPLICAS= K8S= PROVIDER= HOST=)"
	@echo "make down-NAME   remove it"
	@echo "make test        lint, unit and golden tests, the differential, real labs: about 8 minutes; the first"
	@echo "                 run on a machine also builds Kubernetes"
	@echo "make test-ci     the same, more of the differential, and a sample of the VM and kind suites; .ci/run calls it"
	@echo "make test-all    the same and all of the long suites; needs a Docker engine, .ci/run test-all starts one"
	@echo "make endurance   make test three times and more, on a busy machine beside another user's lab; needs root"
	@echo "make test-kind   real kind clusters; needs a Docker engine   (OVERLAY= for the node image)"
	@echo "make test-vm     the ipvs lab and the ipvs differential in a real VM with ip_vs"
	@echo "make differential  compare the engine with real kube-proxies (VERSIONS=all|oldest,1.34,newest STATES=200 SEED=)"
	@echo "make mutation    change each object of recorded dumps; verify must find it"
	@echo "make test-pythons  the unit tests under Debian's own Python   (PYTHONS='/usr/bin/python3 python3.13')"
	@echo "make nightly     run every Kubernetes minor in every mode (MATRIX='--only mode=nftables --output DIR')"
	@echo "make schema      write the JSON schemas of labs and matrices again, from the code"
	@echo "make bench       measure the figures of the README   (bench-kind: those that need a Docker engine)"
	@echo "labs: $(filter-out matrix,$(patsubst labs/%.yml,%,$(wildcard labs/*.yml)))"

# A pattern rule can't be phony; with FORCE it runs each time.
lab-%: $(RUNTIME) FORCE
	@$(KUBEWIRE) up '$*' --verify $(UP_FLAGS)

down-%: $(RUNTIME) FORCE
	@$(KUBEWIRE) down '$*'

FORCE:

setup: $(RUNTIME)

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "kubewire needs Python 3.11 or newer: make PYTHON=python3.12 …"; exit 3; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python can't create a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"; exit 3; }

$(RUNTIME): requirements/runtime.txt pyproject.toml | $(VENV)/bin/pip
	@echo "Installing kubewire's locked dependencies into $(VENV) (once)"
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(VENV)/bin/python -m compileall -q src
	@touch $@

$(DEV): requirements/dev.txt $(RUNTIME)
	@echo "Installing the locked test tools into $(VENV) (once)"
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

SCRIPTS = $(shell git grep -lE '^\#!.*/(env bash|bash|sh)\b' -- ':!*.py' ':!*.md')

lint: $(DEV)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/lint-imports
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/ansible-lint --offline
	$(VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(VENV)/bin/shellcheck --severity=warning $(SCRIPTS)

test-unit: $(DEV)
	$(VENV)/bin/pytest -m "not e2e and not slow" -q -n auto $(HANG)

# VERSIONS=all, or a list of oldest, newest, 1.34, v1.34.2; SEED repeats a run.
differential: $(DEV)
	$(VENV)/bin/python tests/differential --versions '$(or $(VERSIONS),newest)' --states '$(or $(STATES),60)' \
		$(if $(SEED),--seed '$(SEED)')

# The unit tests under other Pythons, each with a venv of its own: Debian 12's is 3.11.2, without tarfile's filters.
# A slow test creates a root file system of the next Debian for its 3.13.
PYTHONS ?= /usr/bin/python3
test-pythons:
	@set -e; for python in $(PYTHONS); do \
		version=$$($$python -c 'import platform; print(platform.python_version())'); \
		$(MAKE) test-unit PYTHON="$$python" VENV=".venv-$$version"; done

mutation: $(DEV)
	$(VENV)/bin/python tests/mutation --write docs/mutation.md

# Kubernetes is built first, since that takes longer than a test's timeout. Three test files, so three labs, at
# once: one works while others wait.
test-e2e: $(DEV)
	@$(VENV)/bin/python -m kubewire.binaries.supply --dns
	$(VENV)/bin/pytest -m "e2e and not slow" -n 3 --dist loadfile $(HANG)

# The seed is fixed here, so that only a change can fail it; `make differential` uses other seeds.
test: lint test-unit test-e2e
	$(MAKE) differential SEED=11

# Builds of other Kubernetes versions and of the node image reuse what is already compiled.
test-ci test-all: export GOCACHE := $(or $(GOCACHE),$(HOME)/.cache/kubewire/go-build)

schema: $(RUNTIME)
	$(VENV)/bin/python -m kubewire.matrix.jsonschema

# What CI runs. Of the suites that need a VM or a Docker engine: one lab each, damaged and repaired.
test-ci: test
	$(MAKE) differential VERSIONS=oldest,1.34,newest SEED=29
	$(VENV)/bin/pytest -m "vm and sample" $(UNTIL_FLAG)
	@$(if $(UNTIL),test "$$(($$(date +%s) + $(IMAGE_SECONDS)))" -ge '$(UNTIL)' && \
		echo "NOT RUN: the sample of make test-kind (the time limit was reached)" ||) \
		$(MAKE) test-kind KIND_TESTS="kind and sample"

# The slowest tests run last: many cycles and kills, and a full build of another Kubernetes version.
LONGEST := tests/e2e/test_lifecycle.py tests/e2e/test_other_labs.py

test-all: test
	$(MAKE) differential VERSIONS=oldest,1.34,newest SEED=29
	$(MAKE) test-pythons
	$(VENV)/bin/pytest -m "slow and not e2e and not kind" -q -n auto $(UNTIL_FLAG)
	$(VENV)/bin/pytest -m "slow and e2e and not kind and not vm" $(addprefix --ignore ,$(LONGEST)) $(UNTIL_FLAG)
	$(MAKE) test-vm
	$(VENV)/bin/pytest -m slow $(LONGEST) $(UNTIL_FLAG)
	@$(if $(UNTIL),test "$$(($$(date +%s) + $(IMAGE_SECONDS)))" -ge '$(UNTIL)' && \
		echo "NOT RUN: make test-kind (the time limit was reached)" ||) $(MAKE) test-kind

# The time limit for building the node image.
IMAGE_SECONDS := 600

# The tests that need ip_vs, in a VM whose kernel has it; on KVM if available, else emulated.
test-vm: $(DEV)
	$(VENV)/bin/pytest -m vm $(UNTIL_FLAG)
	$(VENV)/bin/python tests/differential --host vm --modes ipvs --versions oldest,1.34,newest \
		--states 100 --seed 29 $(UNTIL_FLAG)

# make test three times, the tests of processes and locks ten times, on a busy machine; resumes an interrupted run.
endurance: $(DEV)
	$(VENV)/bin/python tests/endurance.py

# Real kind on a Docker engine. The node image is built once and cached; OVERLAY=DIR adds files to it that the
# machine's kernel or capabilities need. ENGINE=ADDRESS is an engine that only these suites use.
test-kind bench-kind: WITH_ENGINE = $(if $(ENGINE),DOCKER_HOST='$(ENGINE)')
KIND_TESTS := kind
test-kind: $(DEV)
	$(WITH_ENGINE) $(KUBEWIRE) image build $(KIND_VERSION) $(if $(OVERLAY),--overlay '$(OVERLAY)')
	$(WITH_ENGINE) $(VENV)/bin/pytest -m '$(KIND_TESTS)' $(UNTIL_FLAG)

# labs/matrix.yml has the labs, versions and modes; MATRIX= adds options.
nightly: $(RUNTIME)
	@$(KUBEWIRE) matrix $(MATRIX)

bench: $(DEV)
	$(VENV)/bin/python benchmarks/run.py

bench-kind: $(RUNTIME)
	$(WITH_ENGINE) $(KUBEWIRE) image build $(KIND_VERSION) $(if $(OVERLAY),--overlay '$(OVERLAY)')
	$(WITH_ENGINE) $(VENV)/bin/python benchmarks/run.py --kind

# One lock file for every Python from 3.11 on, with environment markers where versions differ.
LOCK := $(VENV)/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --strip-extras --no-header \
	--quiet --no-config pyproject.toml requirements/build.in

lock: $(DEV)
	$(LOCK) -o requirements/runtime.txt
	$(LOCK) --extra dev -c requirements/runtime.txt -o requirements/dev.txt

# Update the hashes of downloads and builds; needs access to the official hosts.
lock-binaries: $(RUNTIME)
	@$(VENV)/bin/python -m kubewire.binaries.lock_binaries

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
