# Shared by dist_*.sh and slurm_*.sh; sourced, not run. $here is the folder of these scripts.
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
python=${PYTHON:-python}

fail() {
    echo "$(basename "$0"): error: $1; without arguments, it prints its usage" >&2
    exit 2
}

# require_count NAME VALUE: VALUE is an integer of at least 1.
require_count() {
    [[ $2 =~ ^[1-9][0-9]*$ ]] || fail "$1 must be an integer of at least 1, got '$2'"
}

# by_torchrun PROCESSES SCRIPT ARGUMENT...: start them on this node, as one of NNODES.
by_torchrun() {
    local processes=$1 nnodes=${NNODES:-1}
    shift
    require_count GPUS "$processes"
    require_count NNODES "$nnodes"
    local rendezvous=(--standalone) # one node: torchrun finds a free port by itself
    if [[ $nnodes -gt 1 ]]; then
        [[ -n ${MASTER_ADDR:-} ]] || fail "NNODES=$nnodes needs MASTER_ADDR, the address of the node with NODE_RANK=0"
        [[ ${NODE_RANK:-} =~ ^[0-9]+$ && $NODE_RANK -lt $nnodes ]] ||
            fail "NNODES=$nnodes needs NODE_RANK, from 0 to $((nnodes - 1)), got '${NODE_RANK:-}'"
    fi
    if [[ $nnodes -gt 1 || -n ${PORT:-}${MASTER_ADDR:-} ]]; then
        rendezvous=(--nnodes="$nnodes" --node-rank="${NODE_RANK:-0}"
            --master-addr="${MASTER_ADDR:-127.0.0.1}" --master-port="${PORT:-29500}")
    fi
    # torchrun as a module: of the same Python as the training, whatever else is on the path; it prints one error for all
    exec "$python" -m davpt_seg.runs.torchrun "${rendezvous[@]}" --nproc-per-node="$processes" "$@" --launcher pytorch
}

# by_srun PARTITION JOB_NAME SCRIPT ARGUMENT...: start GPUS tasks, GPUS_PER_NODE on each node, and wait for them.
by_srun() {
    local partition=$1 job=$2 gpus=${GPUS:-4}
    shift 2
    require_count GPUS "$gpus"
    local per_node=${GPUS_PER_NODE:-$((gpus < 4 ? gpus : 4))} extra=()
    require_count GPUS_PER_NODE "$per_node"
    require_count CPUS_PER_TASK "${CPUS_PER_TASK:-5}"
    command -v srun >/dev/null || fail "srun is not on the path: is this a login node of a slurm cluster?"
    read -r -a extra <<<"${SRUN_ARGS:-}"
    export MASTER_PORT=${PORT:-29500}
    exec srun --partition="$partition" --job-name="$job" --gres="gpu:$per_node" --ntasks="$gpus" \
        --ntasks-per-node="$per_node" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
        ${extra[@]+"${extra[@]}"} "$python" -u "$@" --launcher slurm
}
