PYTHON ?= python3
PY := .venv/bin/python
PORT ?= 8000
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test lint bench security backup restore

help:  ## what can be said to make
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

install:  ## what the other targets need: .venv and node_modules
	@$(PYTHON) clinic_booking/local/install.py

demo: install  ## the whole system with demo data, on http://127.0.0.1:8000 or PORT=…
	@exec $(PY) -m clinic_booking.local.demo $(PORT)

test: install  ## all tests, or some: make test ARGS="tests/scheduling -k hold"
	@exec $(PY) -m tests.run $(ARGS)

lint: install  ## ruff, mypy and known vulnerabilities of what we depend on
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	DATABASE_URL=postgres://lint REDIS_URL=redis://lint $(PY) -m mypy
	$(PY) -m security.audit

bench: install  ## the figures of docs/performance.md on this machine
	@exec $(PY) -m bench $(ARGS)

security: install  ## wapiti and sqlmap against a demo of their own, 30 minutes at most or ARGS="--minutes 60"
	@exec $(PY) -m security $(ARGS)

backup: install  ## an encrypted backup in BACKUP_DIR (docs/ops.md)
	@exec $(PY) manage.py backup

restore: install  ## the newest backup, or FILE=…, into the empty database of DATABASE_URL; ARGS=--force empties it
	@exec $(PY) manage.py restore $(ARGS) $(FILE)
