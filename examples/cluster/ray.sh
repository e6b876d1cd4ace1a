#!/bin/sh
# ./ray.sh head on the first node, ./ray.sh FIRST_NODE on each other one; then, on any of them: python cluster_ray.py
set -eu
case ${1:?head, or the first node} in
    head) exec ray start --head --port 6379 ;;
    *) exec ray start --address "$1:6379" ;;
esac
