# The first process of a PID namespace ignores signals that it does not handle.
trap 'exit 0' TERM INT
sleep infinity &
wait
