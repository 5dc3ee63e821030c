# As the official image's entrypoint: options alone mean nats-server.
case "${1:-}" in
  -*) set -- nats-server "$@" ;;
esac
# Servers before 2.10 refuse sync_interval: run without it rather than not at all, and say so.
if [ "$1" = nats-server ]; then
  file=
  previous=
  for argument in "$@"; do
    case "$previous" in -c | --config) file=$argument ;; esac
    previous=$argument
  done
  if [ -n "$file" ] && nats-server -t -c "$file" 2>&1 | grep -q 'unknown field "sync_interval"'; then
    echo "this nats-server does not know sync_interval: it is left out, and data is synced at the default interval" >&2
    sed '/^[[:space:]]*sync_interval/d' "$file" > /dev/shm/nats.conf
    set -- "$@" -c /dev/shm/nats.conf
  fi
fi
exec "$@"
