# make app    install what the page needs and start it on http://127.0.0.1:7860
# make test   install what the tests need and run them
PYTHON ?= python3
.PHONY: app test

app: .venv/app
	.venv/bin/python app.py

test: .venv/dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/python -m pytest -n 2 --dist loadfile --reruns 1

.venv/app: requirements.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/dev: requirements-dev.txt requirements-train.txt requirements.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
