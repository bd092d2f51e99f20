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
keys=$(mktemp -d "$PWD/.tiledsim-keys-XXXXXX")  # on a disk that all nodes see
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=tiledsim \
    -keyout "$keys/key.pem" -out "$keys/cert.pem" 2> /dev/null
tls=(--tls-ca-file "$keys/cert.pem" --tls-cert "$keys/cert.pem" --tls-key "$keys/key.pem")
scheduler=$keys/scheduler.json
network=${TILEDSIM_INTERFACE:-ib0}
host=$(python -c "import distributed.utils as u; print(u.get_ip_interface('$network'))")

dask scheduler --scheduler-file "$scheduler" --host "$host" --port 0 \
    --dashboard-address 127.0.0.1:0 "${tls[@]}" > "scheduler-$SLURM_JOB_ID.log" 2>&1 &
daemons=($!)
srun dask worker --scheduler-file "$scheduler" --protocol tls --interface "$network" \
    --nthreads "$SLURM_CPUS_PER_TASK" --no-dashboard "${tls[@]}" \
    > "workers-$SLURM_JOB_ID.log" 2>&1 &
daemons+=($!)

tiledsim run experiment.toml -o image.zarr --resume --scheduler-file "$scheduler" "${tls[@]}" &
run=$!
trap 'kill -TERM $run' TERM  # SLURM's warning, two minutes before the end
status=0
wait $run || status=$?
if [ $status -gt 128 ]; then wait $run || status=$?; fi  # the trap cut the first wait short
kill "${daemons[@]}"
wait "${daemons[@]}" || true
rm -r "$keys"
exit $status
