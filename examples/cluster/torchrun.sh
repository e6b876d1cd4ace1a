#!/bin/sh
# On each of two nodes: NODE0=address-of-the-first NODE_RANK=0-or-1 TRAINCAST_KEY=the-same-secret ./torchrun.sh
set -eu
: "${NODE0:?the first node: a name or address that all nodes reach}"
: "${NODE_RANK:?0 on the first node, 1 on the other}"
: "${TRAINCAST_KEY:?one secret for all nodes: openssl rand -hex 32}"
export TRAINCAST_KEY
exec torchrun --nnodes 2 --nproc-per-node 1 --node-rank "$NODE_RANK" \
    --master-addr "$NODE0" --master-port 29500 "${@:-cluster_torchrun.py}"
