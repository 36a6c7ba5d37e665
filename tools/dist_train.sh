#!/usr/bin/env bash
# Train a config with one process a GPU, on one machine or several.
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/_launch.sh"

if [[ $# -lt 2 ]]; then
    cat >&2 <<USAGE
usage: $0 CONFIG GPUS [ARGUMENT of tools/train.py ...]

  one machine:  $0 davpt/upernet_vitl_ade20k 4 --amp
  two machines: NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 $0 CONFIG 8   # and with NODE_RANK=1 on the other

GPUS is the number of processes on this machine; a machine without GPU runs them on its CPU. The config's batch size is
that of one process. Environment: NNODES (1), NODE_RANK, MASTER_ADDR, PORT (a free one; 29500 on several machines),
PYTHON (python).
USAGE
    exit 2
fi
config=$1 gpus=$2
shift 2
by_torchrun "$gpus" "$here/train.py" "$config" "$@"
