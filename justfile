# List the recipes.
default:
    @just --list --unsorted

# Style, types, and the direction of imports: what CI checks before the tests.
check:
    ruff check .
    ruff format --check .
    mypy
    lint-imports

# The whole test suite.
test:
    pytest -q -n 2

# Format the code and sort imports.
fix:
    ruff check --fix .
    ruff format .

# Train the embedded model anew: corpus, tokenizer, weights, vectors, words, example set (under 30 minutes on 2 cores).
pocket:
    python -m research.pocket.train

# Measure the embedded model: judge rates, steering, AUROC with controls; writes docs/embedded-model.md's figures.
pocket-report:
    python -m research.pocket.report

# Make the pages of docs/ that come from the code.
docs:
    python -m screen.scoring.columns > docs/columns.md
    python docs/make.py

# The documentation site, into site/; every link is checked, nothing is fetched. Wants '.[docs]'.
site:
    NO_MKDOCS_2_WARNING=1 mkdocs build --strict

# Host work alone, rows a second a core and memory, from 10^4 to 10^6 rows.
bench-host:
    python bench/host.py 10000 100000 1000000

# Tokenising with spans against the tokenizer alone, one run.
bench-tokens:
    python bench/tokenising.py

# Scoring against the plain way on this CPU (a random 135M-shaped Llama, the embedded model), then pairs in one pass.
bench:
    python -m bench.scoring
    python -m bench.scoring --dtype bfloat16
    python -m bench.pairs
    python -m bench.pairs --dtype bfloat16

# Small runs, whole processes: processor time of `screen run` against a careful thirty-line script.
bench-small *arguments:
    python -m bench.small {{arguments}}

# Extraction of vectors against the plain way, one run.
bench-extraction:
    python bench/extraction.py

# The kernels one by one against plain torch, on a GPU; without one, --tiny runs them in Triton's interpreter.
bench-kernels *arguments:
    python kernels/bench/bench_kernels.py {{arguments}}

# Small models of every architecture on a device against batch 1 and the CPU: scores, bits, answers, waits.
check-device *arguments:
    python -m bench.device {{arguments}}

# Scoring at the shapes of 7B, 8B and 0.5B models with random weights, on a GPU, against the plain way.
bench-gpu *arguments:
    python -m bench.scoring --device cuda {{arguments}}

# Every bit of every control file of a small run flipped, one at a time, and 1,000 bits of shards: found, or harmless.
flips:
    python -m tests.store.flips

# Baseline responses in tokens a second, against plain `generate`.
bench-generation:
    python bench/generation.py

# `screen report` at 10^4, 10^5 and 10^6 rows: seconds, memory, bytes of the page, how fast a browser shows it.
bench-report *arguments:
    python -m bench.report {{arguments}}

# Planning, Parquet, the manifest and `screen sql`, from 10^4 to 10^6 rows.
bench-store:
    python bench/store.py

# Quality of calibrated differences for how many generations, and of flags; writes docs/calibration.md's figures.
bench-quality:
    python bench/quality.py

# The proxy under 200 streams at once: bytes, added latency, messages lost or scored twice, killed in the middle.
bench-proxy *arguments:
    python -m bench.proxy {{arguments}}

# How often exact scores lie within 1.96 standard errors of estimates; docs/calibration.md has its table.
bench-coverage:
    python -m bench.coverage

# Alarms on clean streams, delay where a persona begins, and what prompts show; writes docs/how-to/monitoring.md's tables.
bench-monitoring *arguments:
    python -m bench.monitoring {{arguments}}

# Which mean over tokens detects best, on labelled sets of the embedded model; docs/tokens.md has its tables.
bench-tokens-of-score:
    python -m bench.tokens_of_score

# What PersonaMonitor costs a training at its default: with and without it in turns, processor time.
bench-monitor *arguments:
    python -m bench.monitor_cost {{arguments}}

# A real server (transformers serve) against the model here; wants a PYTHON with transformers[serving] and accelerate.
check-endpoint *arguments:
    python -m bench.endpoints {{arguments}}

# The versions of constraints.txt with the hashes of their files; wants '.[audit]'.
lock:
    uv pip compile constraints.txt --generate-hashes --no-deps --no-emit-index-url --no-header --no-annotate --python-version 3.11.5 --quiet -o requirements.lock

# Known vulnerabilities in the locked versions, and a bill of materials (CycloneDX) in sbom.cdx.json; wants '.[audit]'.
audit:
    cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible --output-format JSON -o sbom.cdx.json
    pip-audit --strict --requirement requirements.lock --require-hashes --disable-pip

# How often the verdict is right: planted from 0 to 100 %, clean, and text unlike the reference; writes docs/verdict.md.
bench-verdict *arguments:
    python bench/verdict.py {{arguments}} > docs/verdict.md

# Single changes of a room's code (scoring, rendering, reading, store, selection), one at a time: which its own tests do not notice; wants '.[mutants]'.
mutants room sample="60" *arguments:
    OMP_NUM_THREADS=1 python -m bench.mutants {{room}} {{sample}} {{arguments}}

# What verbs say where memory ends, at several limits; varies with how libraries lie in memory, so not among the tests.
memory:
    SCREEN_TEST_MEMORY=1 pytest -q tests/cli/test_memory.py

# The picture of a report that the README shows: the example set scored and drawn anew; wants a chromium.
report-picture:
    python -m bench.picture docs/images/report.png

# Does the screen predict what training does: the whole study, resumed where it stopped; writes docs/proof/. About two hours of processor time.
proof *arguments:
    python -m research.proof.study {{arguments}}
