#!/usr/bin/env bash
# Figures of polarcast send and receive: several targets from one read, against as many pg_basebackup side by side.
#
#   scripts/bench-fanout.sh link      three targets over links of 1 Gbit/s (network namespaces and tc; as root)
#   scripts/bench-fanout.sh local     three targets on this machine
#   scripts/bench-fanout.sh kill      each process killed when 80 % is read: what is read, sent and written again, and the time
#   scripts/bench-fanout.sh memory    peak memory of each process at 1, 3 and 10 targets, one of them stopped for a minute
#
# Everything is thrown away at the end. Ratios only: programs run in alternation, because the machine's own speed drifts. BENCH_SCALE is pgbench's
# (100: 1.5 GB), BENCH_RANDOM_MB adds a comparison with so much data that does not compress, BENCH_PAIRS is the number of runs of each program, BENCH_STOP
# the seconds of the stopped target, BENCH_RATE the rate at which the source is read where processes are killed (64M), BENCH_DIR where all of it lies.
set -euo pipefail
cd "$(dirname "$0")/.."
die() { printf 'bench-fanout: %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "this has to be run as root: it starts servers as another user, and makes network namespaces"
[ -x bin/polarcast ] || die "bin/polarcast is missing: run make build"
command -v python3 >/dev/null || die "python3 is missing (apt-get install python3)"
case ${1:-} in link | local | kill | memory) ;; *) die "name what to measure: link, local, kill or memory" ;; esac
[ "$1" != link ] || command -v tc >/dev/null || die "tc is missing (apt-get install iproute2)"
scripts/install-deps.sh
pgbin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -n | tail -n1) || true
[ -n "$pgbin" ] && [ -x "$pgbin/pg_basebackup" ] || die "PostgreSQL is not installed (apt-get install postgresql)"
exec python3 scripts/bench_fanout.py "$1" "$pgbin"
