# make app    install what the page needs and start it on http://127.0.0.1:7860
# make test   install what the tests need and run them
# make check  style, types and the quick tests: neither browser nor training, nor programs that have to be started
# make lock   renew the lock files: every package of the whole tree with its hashes
# make pictures   take the pictures of the page in docs/pictures anew

# The tests start a hundred programs; without compiled files each would compile anew all that it imports.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
.PHONY: app check test style lock pictures

app: .venv/app
	.venv/bin/python app.py

test: style
	.venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: style
	.venv/bin/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder -m "not browser and not training and not programs and not fuzz"

style: .venv/dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

LOCK = .venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --annotation-style line --custom-compile-command "make lock"

lock: .venv/dev
	$(LOCK) --output-file requirements-dev.lock requirements-dev.txt requirements-hub.txt
	$(LOCK) --constraints requirements-dev.lock --output-file requirements.lock requirements.txt

pictures: .venv/dev
	PYTHONPATH=benchmarks .venv/bin/python docs/pictures.py

.venv/app: requirements.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/dev: requirements-dev.txt requirements-train.txt requirements-archive.txt requirements.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
