#!/usr/bin/env bash
# Test a checkpoint as a slurm job of one task a GPU, and wait for it.
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/_launch.sh"

if [[ $# -lt 4 ]]; then
    cat >&2 <<USAGE
usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT [ARGUMENT of tools/test.py ...]

  GPUS=8 GPUS_PER_NODE=8 $0 gpu test_ade davpt/upernet_vitl_ade20k work_dirs/davpt/upernet_vitl_ade20k/iter_160000.pth

Environment: GPUS (4, of all nodes together), GPUS_PER_NODE (GPUS, at most 4), CPUS_PER_TASK (5), SRUN_ARGS (more for
srun: "--time=1-00:00"), PORT (29500), PYTHON (python).
USAGE
    exit 2
fi
partition=$1 job=$2 config=$3 checkpoint=$4
shift 4
by_srun "$partition" "$job" "$here/test.py" "$config" "$checkpoint" "$@"
