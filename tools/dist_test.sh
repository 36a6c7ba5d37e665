#!/usr/bin/env bash
# Test a checkpoint with one process a GPU, on one machine or several.
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/_launch.sh"

if [[ $# -lt 3 ]]; then
    cat >&2 <<USAGE
usage: $0 CONFIG CHECKPOINT GPUS [ARGUMENT of tools/test.py ...]

  $0 davpt/upernet_vitl_ade20k work_dirs/davpt/upernet_vitl_ade20k/iter_160000.pth 4 --tta

GPUS is the number of processes on this machine; a machine without GPU runs them on its CPU. Environment: NNODES (1),
NODE_RANK, MASTER_ADDR, PORT (a free one; 29500 on several machines), PYTHON (python).
USAGE
    exit 2
fi
config=$1 checkpoint=$2 gpus=$3
shift 3
by_torchrun "$gpus" "$here/test.py" "$config" "$checkpoint" "$@"
