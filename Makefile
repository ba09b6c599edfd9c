# Everything here works on a fresh Debian or Ubuntu machine with Python 3.11, git and make; `make test` and `make bench`
# need Go 1.24, too.
.DEFAULT_GOAL := help
SHELL := /bin/bash

UV_VERSION := 0.13.9
UV := .tools/bin/uv
FAKE_GCS_SERVER_VERSION := v1.52.3
FAKE_GCS_SERVER := .tools/bin/fake-gcs-server
EC2_METADATA_MOCK_VERSION := v1.13.0
EC2_METADATA_MOCK := .tools/bin/ec2-metadata-mock
STAND_INS := $(FAKE_GCS_SERVER) $(EC2_METADATA_MOCK) .tools/.hosts .tools/.wheelhouse
PYTHON ?= python3.11
EXPORT := $(UV) export --quiet --frozen --offline --no-emit-project --no-header --no-annotate
SYNC := $(UV) sync --quiet --frozen --compile-bytecode

.PHONY: help train test lint types format docs requirements bench bench-learning soak hooks clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

train: .venv/.trainer ## Install the trainer, train an agent on the lost-sales task, evaluate, export, report
	@.venv/bin/slipway train lost-sales-ppo

test: .venv/.dev .tools/.browser $(STAND_INS) ## Install what testing needs, and run the whole suite
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: .venv/.dev ## Check style and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: .venv/.dev ## Format, and mend what ruff can
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs: .venv/.dev ## Make the generated pages of the docs anew
	.venv/bin/python -m trainer.config.reference > docs/reference/run-file.md
	.venv/bin/python -m trainer.config.algorithms > docs/algorithms.md
	.venv/bin/python -m trainer.metrics.reference > docs/reference/metrics.md
	.venv/bin/python -m trainer.cli.reference > docs/reference/cli.md

requirements: | $(UV) ## Export what bundles carry from uv.lock: every package with its hashes
	$(EXPORT) --no-dev > trainer/bundle/requirements/trainer.txt
	$(EXPORT) --no-dev --extra gpu > trainer/bundle/requirements/trainer-gpu.txt
	$(EXPORT) --only-group node > trainer/bundle/requirements/node.txt

soak: .venv/.dev $(STAND_INS) ## Kill and resume, and go through plans of faults, for a long time (two hours or so)
	.venv/bin/pytest -m soak

bench: .venv/.dev $(FAKE_GCS_SERVER) ## Compare speed with Stable-Baselines3 and a JAX program, and measure stores
	.venv/bin/python -m benchmarks.run

bench-learning: .venv/.trainer ## Measure the learning quality on all tasks (hours; goes on where it stopped)
	@$(SYNC) --inexact --extra box2d --python $(PYTHON)
	.venv/bin/python -m benchmarks.learning

hooks: .venv/.dev ## Check style before each commit
	.venv/bin/pre-commit install

clean: ## Remove what these targets installed; runs stay
	rm -rf .venv .tools

$(UV):
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not installed: apt-get install python3.11" >&2; exit 2; }
	@$(PYTHON) -m venv .tools || { echo "make: apt-get install python3.11-venv" >&2; exit 2; }
	@.tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.trainer: uv.lock pyproject.toml | $(UV)
	@echo "Installing from uv.lock ..."
	@# What an earlier `make test` installed stays: --inexact.
	@$(SYNC) --inexact --python $(PYTHON)
	@touch $@

.venv/.dev: uv.lock pyproject.toml | $(UV)
	@echo "Installing from uv.lock ..."
	@$(SYNC) --extra dev --python $(PYTHON)
	@touch $@ .venv/.trainer

# The report is tested in a real browser.
.tools/.browser: | $(UV)
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { \
	  echo "Installing Chromium ..."; \
	  as_root=; [ "$$(id -u)" = 0 ] || as_root="sudo -n"; \
	  $$as_root apt-get update -qq >/dev/null && \
	  $$as_root apt-get install -y -qq --no-install-recommends chromium chromium-driver >/dev/null; } || { \
	  echo "make: install Chromium first: apt-get install chromium chromium-driver" >&2; exit 2; }
	@touch $@

# Google Cloud Storage is tested against a server that keeps its promises.
$(FAKE_GCS_SERVER): | $(UV)
	@command -v go >/dev/null || { echo "make: install Go 1.24 or later first: https://go.dev/doc/install" >&2; exit 2; }
	@echo "Building fake-gcs-server (some minutes) ..."
	@GOBIN=$(CURDIR)/$(@D) nice go install github.com/fsouza/fake-gcs-server@$(FAKE_GCS_SERVER_VERSION)

# AWS's own mock of its metadata service: notices to spot machines are tested against it.
$(EC2_METADATA_MOCK): | $(UV)
	@command -v go >/dev/null || { echo "make: install Go 1.21 or newer first: https://go.dev/doc/install" >&2; exit 2; }
	@echo "Building ec2-metadata-mock ..."
	@GOBIN=$(CURDIR)/.tools/bin nice go install \
	  github.com/aws/amazon-ec2-metadata-mock/cmd/ec2-metadata-mock@$(EC2_METADATA_MOCK_VERSION) 2>.tools/go.log || { \
	  cat .tools/go.log >&2; exit 2; }

# Nodes are tested on real Debian hosts: systemd-nspawn over one image, packages from a folder of wheels.
.tools/.hosts: tests/onprem/image.sh | $(UV)
	@as_root=; [ "$$(id -u)" = 0 ] || as_root="sudo -n"; \
	command -v systemd-nspawn >/dev/null && command -v mmdebstrap >/dev/null || { \
	  echo "Installing systemd-container and mmdebstrap ..."; \
	  $$as_root apt-get update -qq >/dev/null && \
	  $$as_root apt-get install -y -qq --no-install-recommends systemd-container mmdebstrap >/dev/null; } || { \
	  echo "make: install them first: apt-get install systemd-container mmdebstrap" >&2; exit 2; }; \
	echo "Making a Debian host for tests ..."; \
	$$as_root tests/onprem/image.sh .tools/hosts/bookworm
	@touch $@

.tools/.wheelhouse: trainer/bundle/requirements/trainer.txt trainer/bundle/requirements/node.txt | $(UV)
	@echo "Downloading wheels for that host ..."
	@rm -rf .tools/wheelhouse
	@for file in $^; do .tools/bin/pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
	  --require-hashes --requirement $$file --dest .tools/wheelhouse || exit 1; done
	@touch $@
