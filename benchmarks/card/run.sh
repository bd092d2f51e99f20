#!/usr/bin/env bash
# The plan for a card: from an installed checkout, under 20 minutes, ends at the first thing that is
# wrong and leaves a report.
#
#   benchmarks/card/run.sh                  OUT=folder   where the report goes (card-DATE)
#                                           NANOBRAGGCUDA=program   timed beside the kernel
#   SHIM=1 benchmarks/card/run.sh           the steps that need no card, on the processor
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${OUT:-card-$(date +%F-%H%M)}
mkdir -p "$out"
exec > >(tee "$out/log.txt") 2>&1
export PYTHONPATH=$PWD TILEDSIM_REQUIRE_GPU=1
python=${PYTHON:-python}
tiledsim() { "$python" -m tiledsim.cli.main "$@"; }
step() { printf '\n=== %s %s\n' "$(date +%T)" "$*"; }

if [ -n "${SHIM:-}" ]; then
  step "without a card: tiles in flight, tile sizes, threads, kernels, all by g++"
  "$python" benchmarks/card/checks.py --shim --count 2 sanitize same streams heavy
  exit
fi

step "0  the card as it is: who else is on it, mode, ECC, MIG, clocks, display"           # 10 s
nvidia-smi
nvidia-smi --query-gpu=index,uuid,name,compute_cap,driver_version,compute_mode,ecc.mode.current,mig.mode.current,display_active,clocks.sm,clocks.max.sm,power.limit,memory.used --format=csv
tiledsim doctor
"$python" benchmarks/card/checks.py facts

step "1  one pixel, one kernel, no cache: NVRTC, machine code, struct by value, streams"    # 20 s
CUPY_CACHE_DIR=$(mktemp -d) tiledsim trace examples/quickstart.toml --pixel 512 512 --device cuda

step "2  the kernels as loaded: registers, no local memory, blocks that fit"                # 20 s
"$python" benchmarks/card/checks.py attributes

step "3  the tests; none may be skipped"                                                    # 3 min
"$python" -m pytest -m gpu tests/gpu -q -rs --timeout 240 | tee "$out/pytest.txt"
if grep -Eq "[0-9]+ skipped" "$out/pytest.txt"; then echo "tests were skipped"; exit 1; fi

step "4  compute-sanitizer, with raw cudaMalloc (pip install nvidia-cuda-sanitizer-api)"     # 5 min
sanitizer=$("$python" benchmarks/card/checks.py sanitizer)
for tool in "memcheck --leak-check no" racecheck synccheck initcheck; do
  # shellcheck disable=SC2086
  timeout 200 "$sanitizer" --error-exitcode 9 --tool $tool "$python" benchmarks/card/checks.py --count 6 sanitize
done

step "5  the same bytes: again, other tiles, threads, streams; another process"             # 2 min
"$python" benchmarks/card/checks.py same streams | tee "$out/first.txt"
"$python" benchmarks/card/checks.py same | tee "$out/second.txt"
diff <(grep sha256 "$out/first.txt") <(grep sha256 "$out/second.txt")

step "6  workers: three on one card; none of the driver's own contexts; a card by its UUID"   # 2 min
tiledsim run examples/quickstart.toml -o "$out/one.zarr" --gpus 1
tiledsim run examples/quickstart.toml -o "$out/three.zarr" --gpus 0,0,0 & run=$!
sleep 8
nvidia-smi --query-compute-apps=pid,used_memory --format=csv | tee "$out/apps.txt"
if grep -q "^$run," "$out/apps.txt"; then echo "the driver has a context"; exit 1; fi
wait "$run"
diff -r "$out/one.zarr/image" "$out/three.zarr/image"
uuid=$(nvidia-smi --query-gpu=uuid --format=csv,noheader | head -1)
CUDA_VISIBLE_DEVICES=$uuid tiledsim run examples/quickstart.toml -o "$out/uuid.zarr"
diff -r "$out/one.zarr/image" "$out/uuid.zarr/image"

step "7  memory that somebody else takes: all but 900 MiB of it"                             # 1 min
"$python" benchmarks/card/checks.py hog & hog=$!
sleep 6
tiledsim run examples/quickstart.toml -o "$out/hog.zarr" --gpus 1
kill "$hog"
diff -r "$out/one.zarr/image" "$out/hog.zarr/image"

step "8  speed: checked against the CPU first, beside the card's ceilings; clocks meanwhile"   # 4 min
nvidia-smi --query-gpu=timestamp,clocks.sm,power.draw,temperature.gpu,clocks_event_reasons.active --format=csv -l 1 > "$out/clocks.csv" & clocks=$!
"$python" benchmarks/gpu.py --json "$out/gpu.json"
"$python" benchmarks/card/checks.py heavy
kill "$clocks"

step "9  one profile, where ncu is allowed: what the bounds say against what the pipes do"    # 1 min
if command -v ncu > /dev/null; then
  ncu --set full -k render -c 3 -o "$out/square" "$python" benchmarks/gpu.py --only "square, 25" --rounds 1 --side 1024
else
  echo "ncu is not installed: no profile"
fi
printf '\nall done: the report is %s\n' "$out"
