help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ /'

test:            ## the tests, three to five minutes on two cores
	pytest

slow:            ## the tests that take longer
	pytest -m slow

lint:            ## ruff and mypy
	ruff check . && ruff format --check . && mypy

format:          ## put the code into ruff's form
	ruff check --fix . && ruff format .

docs:            ## the documentation, into site/; needs pip install -e '.[docs]'
	mkdocs build --strict

docs-serve:      ## the same on http://127.0.0.1:8000, built anew with each change (of Python files: when it is restarted)
	mkdocs serve

# The last checkpoints of the runs that a pattern names, but for some: $(call last,PATTERN,BUT).
last = $(wildcard $(addsuffix /*/checkpoints/last.ckpt,$(filter-out $(2),$(wildcard runs/$(1)))))
DIGITS = $(call last,*_mnist,%_stacked_mnist runs/cyclegan_mnist runs/dtn_mnist)
STACKED = $(call last,*_stacked_mnist)
RINGS = $(call last,*_ring,runs/lab_ring)
DATA = data

bench:           ## judge the checkpoints of the MNIST and ring runs in runs/ (DATA=folder of MNIST)
	$(if $(DIGITS),python benchmarks/mnist_quality.py --data.root $(DATA) $(DIGITS))
	$(if $(STACKED),python benchmarks/stacked_modes.py --data.root $(DATA) $(STACKED))
	$(if $(RINGS),python benchmarks/ring_modes.py $(RINGS))

speed:           ## step times, scaling and data rates on this CPU, an hour on two cores
	python benchmarks/step_time.py --tasks 32x32 64x64
	python benchmarks/scaling.py
	python benchmarks/data_rate.py

# Records of torch without a proper last version ("2.6.0-NA"), so that every one may count: docs/security.md says why none matters.
EXPLAINED = PYSEC-2025-189 PYSEC-2025-190 PYSEC-2025-192 PYSEC-2025-196 PYSEC-2025-197

audit:           ## known vulnerabilities of what is installed; needs pip-audit and the network (docs/security.md)
	bash -o pipefail -c "pip freeze --all --exclude ganzoo-lightning | sed 's/+[a-z0-9.]*$$//' \
	  | pip-audit --strict --disable-pip --no-deps -r /dev/stdin $(addprefix --ignore-vuln ,$(EXPLAINED))"

.PHONY: help test slow lint format docs docs-serve bench speed audit
