#!/bin/sh
# Installs what the tests and the demonstration need on Debian and Ubuntu: a PostgreSQL server with contrib and client tools. Does nothing
# when it is there. With arguments, installs these packages too. What cannot be installed is said, and is no error: tests that need
# it are skipped.
set -u

say() { echo "install-deps: $*" >&2; }

packages="$*"
have_postgres() {
	for dir in /usr/lib/postgresql/*/bin; do
		if [ -x "$dir/postgres" ] && [ -x "$dir/pgbench" ] && [ -x "$dir/psql" ] && [ -x "$dir/pg_verifybackup" ]; then return 0; fi
	done
	return 1
}
have_postgres || packages="${packages:+$packages }postgresql postgresql-contrib postgresql-client"

if ! command -v npm >/dev/null 2>&1; then
	say "npm is not installed: only the PostgreSQL versions in /usr/lib/postgresql are tested (apt-get install npm)"
fi
[ -n "$packages" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	say "this is no Debian or Ubuntu; please install: $packages"
	exit 0
fi
if [ "$(id -u)" = 0 ]; then
	as_root() { "$@"; }
elif command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
	as_root() { sudo "$@"; }
else
	say "neither root nor sudo; please install: $packages"
	exit 0
fi

say "installing $packages"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
	# shellcheck disable=SC2086 # a list of packages
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages >"$log" 2>&1
}
if ! install; then
	as_root apt-get update -q >"$log" 2>&1
	install || { tail -n 15 "$log" >&2; say "could not install $packages; tests that need them are skipped"; }
fi
exit 0
