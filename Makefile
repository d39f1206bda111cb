# Everything a developer and CI run. Needs Python >= 3.11 and make; uv is installed into .tools/ if it is not there.
UV_VERSION := 0.13.8
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN := $(UV) run --frozen
SOURCES := headwater sagas bounded_contexts infra shared_kernel schemas tests

.PHONY: up dev install lint check test fuzz crash crash-orders bench unit format schemas docs gallery office clean

up: install  ## start everything on this machine and stay in the foreground
	@$(RUN) headwater up

dev: install  ## the same, and the roles start again whenever the code changes
	@$(RUN) headwater up --reload

install: .venv $(UV)  ## make the environment as locked
	@$(UV) sync --frozen --quiet --compile-bytecode

.venv:
	@echo "making the environment, a minute the first time"

.tools/bin/uv:
	@python3 -m venv .tools
	@.tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

lint: install  ## format, lint, types, imports, schemas
	$(RUN) ruff format --check $(SOURCES)
	$(RUN) ruff check $(SOURCES)
	$(RUN) mypy
	$(RUN) lint-imports
	$(RUN) headwater schemas check

check: lint  ## lint, and the quick tests
	$(RUN) pytest -q -m "not connected" tests/unit tests/architecture tests/contract

test: lint  ## lint, and the whole suite on the real servers, with coverage
	$(RUN) pytest --numprocesses 2 --no-loadscope-reorder --cov --cov-report=
	$(RUN) coverage report --fail-under=85 --format=total

fuzz: install  ## every operation with EXAMPLES=100 odd requests, every document reader with 10,000 (CONTRIBUTING.md), an hour
	FUZZ_EXAMPLES=$(or $(EXAMPLES),100) $(RUN) pytest -q tests/integration/test_openapi_fuzz.py
	FUZZ_EXAMPLES=$(or $(EXAMPLES),100)00 $(RUN) pytest -q tests/unit/test_documents_fuzz.py tests/unit/test_documents_atheris.py

crash: install  ## five seeds of the crash regime, within twenty minutes (docs/reliability.md)
	$(RUN) python -m tests.crash.campaign --seeds 5 --seconds 90

crash-orders: install  ## 2,000 orders while whatever they need is killed, a quarter of an hour (docs/reliability.md)
	$(RUN) python -m tests.crash.orders --orders 2000 --clients 16 --seconds 120 --seed $(or $(SEED),1)

bench: $(UV)  ## the hot paths beside their peers within five minutes (docs/performance.md); BENCH="--only post" for one
	UV_PROJECT_ENVIRONMENT=.tools/bench $(RUN) --no-dev --group bench python -m tests.load.bench $(BENCH)

unit: install  ## the quick tests only
	$(RUN) pytest -q tests/unit

format: install  ## format and sort imports
	$(RUN) ruff format $(SOURCES)
	$(RUN) ruff check --fix $(SOURCES)

schemas: install  ## regenerate the event classes from the Avro files
	$(RUN) headwater schemas generate

docs: install  ## regenerate the settings table, .env.template and the interface documents
	@$(RUN) python -m headwater.settings_docs
	@$(RUN) headwater openapi > docs/openapi.json
	@$(RUN) headwater asyncapi > docs/asyncapi.json
	@$(RUN) headwater graphql-schema > docs/schema.graphql

gallery: install  ## render docs/gallery/*.json: a PDF each, and the PNG of its first page
	@$(RUN) python -m tests.gallery

office: install  ## open DOCX and XLSX with every block in LibreOffice, where it is installed (tests/office.py)
	@$(RUN) python -W ignore -m tests.office

clean:  ## remove what can be made again, not the data in .headwater/
	rm -rf .venv .tools .mypy_cache .pytest_cache .ruff_cache .coverage* .import_linter_cache
