#!/bin/sh
# ./ray.sh head on the first node, ./ray.sh FIRST_NODE on every other node; then, on any node: python cluster_ray.py
set -eu
case ${1:?head, or the first node} in
    head) exec ray start --head --port 6379 ;;
    *) exec ray start --address "$1:6379" ;;
esac
