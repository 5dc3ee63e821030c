# As the official image's entrypoint: options alone mean redis-server.
case "${1:-}" in
  -* | *.conf) set -- redis-server "$@" ;;
esac
exec "$@"
