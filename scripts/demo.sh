#!/usr/bin/env bash
# Shows what polar_basebackup does: starts a primary with pgbench's data and a client that writes, copies it through the pipeline, starts the
# copy as a standby and shows that it follows. Everything lives in a temporary directory and is gone at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

bold='' dim='' green='' off=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' off=$'\e[0m'; fi
step() { printf '\n%s%s%s\n' "$bold" "$*" "$off"; }
note() { printf '  %s\n' "$*"; }
show() { printf '%s$ %s%s\n' "$dim" "$*" "$off"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

[ -x bin/polar_basebackup ] || die "bin/polar_basebackup is missing: run make build"
scripts/install-deps.sh
pgbin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -n | tail -n1) || true
[ -n "$pgbin" ] && [ -x "$pgbin/initdb" ] && [ -x "$pgbin/pgbench" ] || die "PostgreSQL is not installed (apt-get install postgresql)"

dir=$(mktemp -d /tmp/polarcast-demo.XXXXXX)

# Servers refuse to run as root. A list, not a function: "${as[@]}" pgbench & is then one process, which kill reaches.
as=(env)
user=$(id -un)
if [ "$(id -u)" = 0 ]; then
	user=postgres
	id "$user" >/dev/null 2>&1 || user=nobody
	as=(setpriv "--reuid=$user" "--regid=$(id -g "$user")" --clear-groups env "HOME=$dir")
fi

load=''
cleanup() {
	trap - EXIT INT TERM
	[ -z "$load" ] || kill "$load" 2>/dev/null || true
	[ -z "$load" ] || wait "$load" 2>/dev/null || true
	for node in standby primary; do
		[ ! -f "$dir/$node/postmaster.pid" ] || "${as[@]}" "$pgbin/pg_ctl" -D "$dir/$node" -m immediate -w stop >/dev/null 2>&1 || true
	done
	cd / && rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$dir"
cp bin/polar_basebackup "$dir/" && chmod 755 "$dir/polar_basebackup" # the checkout may be closed to that user
chown -R "$user" "$dir"
cd "$dir"

free_port() {
	local port
	for _ in $(seq 100); do
		port=$((20000 + RANDOM % 20000))
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return; fi
	done
	die "no free port found"
}
primary=$(free_port)
standby=$(free_port)
while [ "$standby" = "$primary" ]; do standby=$(free_port); done
sql() { "${as[@]}" "$pgbin/psql" -X -q -At -h "$dir" -p "$1" -U postgres -d postgres -c "$2"; }
start() { # node port
	"${as[@]}" "$pgbin/pg_ctl" -D "$dir/$1" -l "$dir/$1.log" -w -t 120 \
		-o "-c port=$2 -c listen_addresses= -c unix_socket_directories=$dir" start >/dev/null || { cat "$dir/$1.log" >&2; die "the $1 did not start"; }
}

step "1. A primary with data, PostgreSQL $("$pgbin/postgres" -V | sed 's/.* \([0-9.]*\).*/\1/'), as user $user"
"${as[@]}" "$pgbin/initdb" -D "$dir/primary" -U postgres -A trust -N -k >/dev/null
start primary "$primary"
"${as[@]}" "$pgbin/pgbench" -i -q -s "${DEMO_SCALE:-10}" -h "$dir" -p "$primary" -U postgres postgres 2>/dev/null
note "$(sql "$primary" "SELECT count(*) || ' accounts, ' || pg_size_pretty(pg_database_size('postgres')) FROM pgbench_accounts")"
"${as[@]}" "$pgbin/pgbench" -n -c 2 -T 600 -R 200 -h "$dir" -p "$primary" -U postgres postgres >/dev/null 2>&1 &
load=$!
note "pgbench writes to it all the time"

step "2. A backup through the pipeline"
show "polar_basebackup -D standby -R -X stream -c fast -P -v"
"${as[@]}" "$dir/polar_basebackup" -D "$dir/standby" -R -X stream -c fast -P -v -h "$dir" -p "$primary" -U postgres || die "the backup failed"

step "3. The copy starts as a standby"
start standby "$standby"
note "in recovery: $(sql "$standby" 'SELECT pg_is_in_recovery()')"

step "4. What is written on the primary arrives"
sql "$primary" "CREATE TABLE greeting AS SELECT 'hello from the primary'::text AS words"
kill "$load" 2>/dev/null || true
wait "$load" 2>/dev/null || true
load=''
for _ in $(seq 600); do # what its sessions have begun, they end
	[ "$(sql "$primary" "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'")" != 0 ] || break
	sleep 0.1
done
target=$(sql "$primary" 'SELECT pg_current_wal_flush_lsn()')
for i in $(seq 600); do
	[ "$(sql "$standby" "SELECT coalesce(pg_last_wal_replay_lsn() >= '$target', false)")" != t ] || break
	[ "$i" != 600 ] || die "the standby did not reach $target"
	sleep 0.1
done
note "the standby says: $(sql "$standby" 'SELECT words FROM greeting')"
totals="SELECT count(*) || ' transactions, sum ' || coalesce(sum(delta), 0) FROM pgbench_history"
a=$(sql "$primary" "$totals") b=$(sql "$standby" "$totals")
note "primary: $a"
note "standby: $b"
[ "$a" = "$b" ] || die "they differ"
note "replication: $(sql "$primary" "SELECT state || ', sent ' || sent_lsn || ', replayed ' || replay_lsn FROM pg_stat_replication LIMIT 1")"

printf '\n%sThe standby holds what the primary holds, and follows it.%s\n' "$green" "$off"
