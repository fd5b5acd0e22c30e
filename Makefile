# make app    install what the page needs and start it on http://127.0.0.1:7860
# make test   install what the tests need and run them
# make lock   renew the lock files: every package of the whole tree with its hashes
# make pictures   take the pictures of the page in docs/pictures anew
PYTHON ?= python3
.PHONY: app test lock pictures

app: .venv/app
	.venv/bin/python app.py

test: .venv/dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/python -m pytest -n 2 --dist loadfile --reruns 1

LOCK = .venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --annotation-style line --custom-compile-command "make lock"

lock: .venv/dev
	$(LOCK) --output-file requirements.lock requirements.txt
	$(LOCK) --constraints requirements.lock --output-file requirements-dev.lock requirements-dev.txt requirements-hub.txt

pictures: .venv/dev
	PYTHONPATH=benchmarks .venv/bin/python docs/pictures.py

.venv/app: requirements.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/dev: requirements-dev.txt requirements-train.txt requirements.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
