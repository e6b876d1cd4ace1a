#!/bin/sh
# ./ssh.sh NODE... on the learner's machine, which the nodes reach as $LEARNER: one relay here, and one on each NODE, over Zenoh.
# Then start the learner here and the envs there, all with the same name: traincast.Run("my-run", unique=False).
# The relays end with this script.
set -eu
: "${LEARNER:?the name or address of this machine, as the others know it}"
: "${TRAINCAST:=traincast}" # the command on the nodes: its path, if ssh does not find it there
: "${TRAINCAST_KEY:=$(openssl rand -hex 32)}"
export TRAINCAST_KEY

relays=
trap 'kill $relays' EXIT
trap 'exit 1' HUP INT TERM

traincast relay --via zenoh --listen tcp/0.0.0.0:7447 my-run &
relays=$!

# ssh sends no signals, so the end of its standard input ends the relay on the node.
on_node="read -r TRAINCAST_KEY; export TRAINCAST_KEY; exec 3<&0
    $TRAINCAST relay --via zenoh tcp/$LEARNER:7447 my-run & relay=\$!
    { cat; kill \$relay; } <&3 >/dev/null 2>&1 &
    wait \$relay"
for node in "$@"; do
    # The key goes through standard input, because other users can see command lines.
    { printf '%s\n' "$TRAINCAST_KEY"; tail -f /dev/null --pid=$$; } | ssh "$node" "$on_node" &
    relays="$relays $!"
done
wait
