#!/bin/sh
# ./ssh.sh NODE... on the learner's machine, which the nodes reach as $LEARNER: one relay here, and one on each NODE, over Zenoh.
# Then start the learner here and the envs there, all with the same name: traincast.Run("my-run", unique=False).
set -eu
: "${LEARNER:?the name or address of this machine, as the others know it}"
: "${TRAINCAST_KEY:=$(openssl rand -hex 32)}"
export TRAINCAST_KEY

relays=
trap 'kill $relays' EXIT INT TERM
traincast relay --via zenoh --listen tcp/0.0.0.0:7447 my-run &
relays=$!
for node in "$@"; do
    # The key goes through standard input, because other users can see command lines.
    printf '%s\n' "$TRAINCAST_KEY" | ssh "$node" \
        'read -r TRAINCAST_KEY; export TRAINCAST_KEY; exec traincast relay --via zenoh tcp/'"$LEARNER"':7447 my-run' &
    relays="$relays $!"
done
wait
