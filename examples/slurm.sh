#!/bin/bash
# A run inside one allocation: scheduler, workers and client in the same job.
# Submit it again after its time limit: --resume goes on where it stopped.
#SBATCH --job-name=tiledsim
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --time=02:00:00
#SBATCH --signal=B:TERM@120

set -eu
umask 077
ulimit -n "$(ulimit -Hn)"  # some three open files a worker
keys=$(mktemp -d "$PWD/.tiledsim-keys-XXXXXX")  # on a disk that all nodes see
log=tiledsim-$SLURM_JOB_ID.log  # of scheduler and workers, with all that Dask says at their end
daemons=()
run=

end() {  # however this script ends: no key and no process stays
    trap '' TERM
    kill "${daemons[@]}" 2> /dev/null || true
    wait "${daemons[@]}" 2> /dev/null || true
    rm -rf "$keys"
}
trap end EXIT
trap 'kill -TERM $run 2> /dev/null || exit 143' TERM  # SLURM's warning, or scancel

openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=tiledsim \
    -keyout "$keys/key.pem" -out "$keys/cert.pem" 2> /dev/null
tls=(--tls-ca-file "$keys/cert.pem" --tls-cert "$keys/cert.pem" --tls-key "$keys/key.pem")
scheduler=$keys/scheduler.json
network=${TILEDSIM_INTERFACE:-ib0}
host=$(python -c "import distributed.utils as u; print(u.get_ip_interface('$network'))")
export DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION=1.0  # no tile waits at a busy worker

dask scheduler --scheduler-file "$scheduler" --host "$host" --port 0 \
    --dashboard-address 127.0.0.1:0 "${tls[@]}" >> "$log" 2>&1 &
daemons+=($!)
# Memory is SLURM's to see to: Dask would end workers at a share of the default of a job.
srun bash -c 'exec dask worker --name "job-$SLURM_JOB_ID-$SLURM_PROCID" "$@"' worker \
    --scheduler-file "$scheduler" --protocol tls --interface "$network" \
    --nthreads "$SLURM_CPUS_PER_TASK" --memory-limit 0 --dashboard-address 127.0.0.1:0 \
    "${tls[@]}" >> "$log" 2>&1 &
daemons+=($!)

tiledsim run experiment.toml -o image.zarr --resume --scheduler-file "$scheduler" "${tls[@]}" &
run=$!
status=0
wait $run || status=$?
if [ $status -gt 128 ]; then wait $run || status=$?; fi  # the trap cut the first wait short
exit $status
