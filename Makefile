# Everything here works on a fresh Debian or Ubuntu machine with Python 3.11, git and make; `make test` and `make bench`
# need Go 1.24, too.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# What downloads, what builds and what checks can share the time.
MAKEFLAGS += --jobs=4

UV_VERSION := 0.13.9
UV := .tools/bin/uv
FAKE_GCS_SERVER_VERSION := v1.52.3
FAKE_GCS_SERVER := .tools/bin/fake-gcs-server
EC2_METADATA_MOCK_VERSION := v1.13.0
EC2_METADATA_MOCK := .tools/bin/ec2-metadata-mock
CHECKERS := .tools/.checkers
STAND_INS := $(FAKE_GCS_SERVER) $(EC2_METADATA_MOCK) .tools/.hosts .tools/.wheelhouse .tools/.prometheus .tools/.pulumi .tools/.terraform
PYTHON ?= python3.11
# One more than there are processors, up to four: tests also wait, for hosts and servers.
WORKERS := $(shell echo $$(( $$(nproc) < 3 ? $$(nproc) + 1 : 4 )))
EXPORT := $(UV) export --quiet --frozen --offline --no-emit-project --no-header --no-annotate
SYNC := $(UV) sync --quiet --frozen

.PHONY: help train test lint style types format docs requirements smoke-aws smoke-gcp bench bench-learning soak \
  test-hosts-deep test-site hooks clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

train: .venv/.trainer ## Install the trainer, train an agent on the lost-sales task, evaluate, export, report
	@.venv/bin/slipway train lost-sales-ppo

test: style types .tools/.browser $(STAND_INS) $(CHECKERS) ## Install what testing needs, and run the whole suite
	.venv/bin/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=40 --durations-min=15

lint: style types ## Check style and types

style: .venv/.dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: .venv/.dev
	.venv/bin/mypy
	.venv/bin/ty check infra

format: .venv/.dev ## Format, and mend what ruff can
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs: .venv/.dev ## Make the generated pages of the docs, and rules of alerts, anew
	.venv/bin/python -m trainer.config.reference > docs/reference/run-file.md
	.venv/bin/python -m trainer.config.algorithms > docs/algorithms.md
	.venv/bin/python -m trainer.metrics.reference > docs/reference/metrics.md
	.venv/bin/python -m trainer.store.reference > docs/reference/tables.md
	.venv/bin/python -m trainer.cli.reference > docs/reference/cli.md
	.venv/bin/python -m infra.machines.reference > docs/reference/machines.md
	.venv/bin/python -m infra.reference > docs/reference/site.md
	.venv/bin/python -m infra.policy.reference > docs/reference/policies.md
	.venv/bin/python -m infra.picture > docs/images/site.svg
	.venv/bin/python -m infra.onprem.runbooks > docs/runbooks/README.md
	.venv/bin/python -m infra.onprem.rules > ansible/roles/monitoring/files/rules.yml
	.venv/bin/python -m infra.onprem.dashboards
	.venv/bin/python -m infra.onprem.reference > docs/reference/onprem.md
	.venv/bin/python -m infra.onprem.picture > docs/images/onprem.svg

requirements: | $(UV) ## Export what bundles carry from uv.lock: every package with its hashes
	$(EXPORT) --no-dev > trainer/bundle/requirements/trainer.txt
	$(EXPORT) --no-dev --extra gpu > trainer/bundle/requirements/trainer-gpu.txt
	$(EXPORT) --only-group node > trainer/bundle/requirements/node.txt

soak: .venv/.dev $(STAND_INS) ## Kill and resume, and go through plans of faults, for a long time (two hours or so)
	.venv/bin/pytest -m soak

test-hosts-deep: .venv/.dev .tools/.hosts .tools/.hosts-ubuntu .tools/.wheelhouse .tools/.prometheus .tools/.loki .tools/.kernel ## Try what takes hosts long, and kernels of their own
	.venv/bin/pytest -m deep --ignore tests/onprem
	SLIPWAY_LAB_STRATEGY=linear .venv/bin/pytest -m "deep or not deep" tests/onprem

test-site: .venv/.dev .tools/.hosts .tools/.wheelhouse ## Make a whole site of hosts with Mitogen, train, take it down (half an hour)
	.venv/bin/pytest -m deep -v tests/onprem/test_site.py

smoke-aws: .venv/.dev ## Make a small site in your AWS account, train, take it down (some cents; needs credentials)
	.venv/bin/python tests/smoke/smoke.py aws

smoke-gcp: .venv/.dev ## The same in Google Cloud, in the project of GOOGLE_CLOUD_PROJECT
	.venv/bin/python tests/smoke/smoke.py gcp

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
	@$(SYNC) --compile-bytecode --inexact --python $(PYTHON)
	@touch $@

.venv/.dev: uv.lock pyproject.toml | $(UV)
	@echo "Installing from uv.lock ..."
	@$(SYNC) --extra dev --python $(PYTHON)
	@# Of Ansible's collections nearly nothing is ever imported. What is of the rest must be compiled: tests take the
	@# warnings of compiling it for errors.
	@.venv/bin/python -W ignore -m compileall -qq -j 0 -x /ansible_collections/ .venv/lib || true
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

# Sites in clouds are tested with the real Pulumi CLI: the one on PATH, else the official download, else built here.
.tools/.pulumi: tests/engine/build-cli.sh | .venv/.dev
	@command -v pulumi >/dev/null || timeout 300 .venv/bin/python -c "import socket; socket.setdefaulttimeout(10); \
	  from pulumi.automation import PulumiCommand; PulumiCommand.install(root='$(CURDIR)/.tools/pulumi')" \
	  >/dev/null 2>&1 || { \
	  command -v go >/dev/null || { echo "make: install Go 1.25.11 first: https://go.dev/doc/install" >&2; exit 2; }; \
	  echo "Building the Pulumi CLI (some minutes) ..."; \
	  nice tests/engine/build-cli.sh .tools/pulumi 2>.tools/pulumi.log || { cat .tools/pulumi.log >&2; exit 2; }; }
	@touch $@

# Those in AWS are tested with Terraform's provider for AWS, if it is to be had.
.tools/.terraform: tests/engine/aws_provider/executable.py | .venv/.dev
	@PYTHONPATH=tests/engine .venv/bin/python -m aws_provider.executable
	@touch $@

# Nodes and sites are tested on real Debian hosts: systemd-nspawn over an image of each release, packages from a folder of
# wheels. The browser first: apt-get does one thing at a time.
.tools/.hosts: tests/onprem/image.sh | $(UV) .tools/.browser
	@as_root=; [ "$$(id -u)" = 0 ] || as_root="sudo -n"; \
	command -v systemd-nspawn >/dev/null && command -v mmdebstrap >/dev/null || { \
	  echo "Installing systemd-container and mmdebstrap ..."; \
	  $$as_root apt-get update -qq >/dev/null && \
	  $$as_root apt-get install -y -qq --no-install-recommends systemd-container mmdebstrap >/dev/null; } || { \
	  echo "make: install them first: apt-get install systemd-container mmdebstrap" >&2; exit 2; }; \
	echo "Making Debian hosts for tests ..."; \
	for suite in bookworm trixie; do $$as_root tests/onprem/image.sh .tools/hosts/$$suite $$suite || exit 1; done
	@touch $@

# Of Ubuntu alike.
.tools/.hosts-ubuntu: tests/onprem/image.sh | $(UV) .tools/.hosts
	@echo "Making Ubuntu hosts for tests ..."
	@as_root=; [ "$$(id -u)" = 0 ] || as_root="sudo -n"; \
	for suite in jammy noble; do $$as_root tests/onprem/image.sh .tools/hosts/$$suite $$suite || exit 1; done
	@touch $@

# Rules and dashboards are tested with a real Prometheus: Debian's packages, unpacked. They need its lists of packages, so
# what else apt-get does comes first.
.tools/.prometheus: tests/onprem/prometheus.sh | $(UV) .tools/.hosts
	@apt-cache show prometheus prometheus-alertmanager prometheus-node-exporter >/dev/null 2>&1 || { \
	  as_root=; [ "$$(id -u)" = 0 ] || as_root="sudo -n"; $$as_root apt-get update -qq >/dev/null; }
	@tests/onprem/prometheus.sh .tools/prometheus || { \
	  echo "make: no package of Prometheus is to be had: apt-get update" >&2; exit 2; }
	@touch $@

.tools/.wheelhouse: trainer/bundle/requirements/trainer.txt trainer/bundle/requirements/node.txt | $(UV)
	@echo "Downloading wheels for that host ..."
	@rm -rf .tools/wheelhouse
	@for file in $^; do .tools/bin/pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
	  --require-hashes --requirement $$file --dest .tools/wheelhouse || exit 1; done
	@touch $@

# Logs go to a real Loki.
.tools/.loki: tests/onprem/loki.sh | $(UV)
	@command -v go >/dev/null || { echo "make: install Go 1.26 or later first: https://go.dev/doc/install" >&2; exit 2; }
	@echo "Building Loki (10 minutes or more) ..."
	@nice tests/onprem/loki.sh .tools/loki 2>.tools/loki.log || { cat .tools/loki.log >&2; exit 2; }
	@touch $@

# What containers do not have or enforce is tried on a kernel of its own: Debian 13's, as a program.
.tools/.kernel: tests/onprem/kernel.sh .tools/.hosts
	@as_root=; [ "$$(id -u)" = 0 ] || as_root="sudo -n"; lacks=; \
	for each in gcc flex bison bc depmod; do PATH=$$PATH:/sbin command -v $$each >/dev/null || lacks=$$each; done; \
	[ -z "$$lacks" ] || { \
	  $$as_root apt-get update -qq >/dev/null && \
	  $$as_root apt-get install -y -qq --no-install-recommends gcc libc6-dev flex bison bc kmod >/dev/null; } || { \
	  echo "make: install them first: apt-get install gcc libc6-dev flex bison bc kmod" >&2; exit 2; }
	@echo "Fetching a kernel, and building its keys ..."
	@nice tests/onprem/kernel.sh .tools/kernel .tools/hosts/trixie >.tools/kernel.log 2>&1 || { \
	  tail -n 30 .tools/kernel.log >&2; exit 2; }
	@touch $@

# What looks over a site's resources and IAM documents has dependencies of its own, so an environment of its own, too.
$(CHECKERS): tests/infra/checkers/requirements.txt | $(UV)
	@echo "Installing checkov and parliament ..."
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .tools/checkers
	@$(UV) pip sync --quiet --python .tools/checkers/bin/python --require-hashes $<
	@touch $@
