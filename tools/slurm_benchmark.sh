#!/usr/bin/env bash
# Run a benchmark on all nodes of a Slurm job. Options before the file are sbatch's, those after it davpt-seg benchmark's:
#
#   sbatch --partition=gpu --nodes=4 --gres=gpu:4 --time=1-00:00 tools/slurm_benchmark.sh vtab --work-dir work_dirs/vtab
#
# Ray starts on each node, and the job ends with the benchmark. Submitted again, the same job resumes.
# Environment: PYTHON (python), PORT (made of the job's number), and what trainings need (VTAB_ROOT, HF_HOME, ...).
#SBATCH --job-name=davpt-benchmark
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --signal=B:TERM@120
set -euo pipefail
if [[ $# -eq 0 || -z ${SLURM_JOB_ID:-} ]]; then
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
python=${PYTHON:-python}
port=${PORT:-$((20000 + SLURM_JOB_ID % 10000))}
address=$(hostname):$port # Slurm runs this file on the job's first node
cpus=${SLURM_CPUS_PER_TASK:-1}
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n') # without it, anyone on the network could run programs here
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0

head="ray start --head --port=$port --ray-client-server-port=$((port + 1)) --include-dashboard=false \
    --temp-dir=/tmp/ray-$(id -u)-$SLURM_JOB_ID --num-cpus=$cpus --block"
node="until ray start --address=$address --num-cpus=$cpus --block; do sleep 5; done" # the head may be slower
srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --cpus-per-task="$cpus" \
    bash -c "if [[ \$SLURM_NODEID -eq 0 ]]; then $head; else $node; fi" &
until (: <"/dev/tcp/${address/:/\/}") 2>/dev/null; do
    kill -0 $! || exit 1 # srun has said why
    sleep 2
done

# Slurm ends the other nodes when this process ends; TERM before the time limit ends trainings gracefully.
RAY_ADDRESS=$address exec "$python" -m davpt_seg benchmark "$@" --cluster auto
