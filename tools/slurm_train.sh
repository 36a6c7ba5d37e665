#!/usr/bin/env bash
# Train a config as a slurm job of one task a GPU, and wait for it.
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/_launch.sh"

if [[ $# -lt 3 ]]; then
    cat >&2 <<USAGE
usage: $0 PARTITION JOB_NAME CONFIG [ARGUMENT of tools/train.py ...]

  GPUS=8 GPUS_PER_NODE=8 $0 gpu davpt_ade davpt/upernet_vitl_ade20k --amp

The config's batch size is that of one GPU. Environment: GPUS (4, of all nodes together), GPUS_PER_NODE (GPUS, at most
4), CPUS_PER_TASK (5), SRUN_ARGS (more for srun: "--time=1-00:00 --gres=none"), PORT (29500), PYTHON (python).
USAGE
    exit 2
fi
partition=$1 job=$2 config=$3
shift 3
by_srun "$partition" "$job" "$here/train.py" "$config" "$@"
