#!/usr/bin/env bash
# Compares polar_basebackup with pg_basebackup in alternation on this machine: the same throw-away server, the same synchronisation. Prints
# ratios (ours / pg_basebackup), because the machine's own speed drifts. What it runs is set by variables:
#   BENCH_SCALE=60       pgbench's scale (200: 3 GB)
#   BENCH_RANDOM_MB=300  size of incompressible data in MB; 0 leaves it out
#   BENCH_PAIRS=2        runs of each program
#   BENCH_JOBS="1 2 4"   also reads the pgbench data by path with so many workers each
#   BENCH_SQL="1 4"      also reads it by SQL with so many connections each
#   BENCH_FILES=20000    also copies so many files of 8 kB
set -euo pipefail
cd "$(dirname "$0")/.."
die() { printf 'bench: %s\n' "$*" >&2; exit 1; }
[ -x bin/polar_basebackup ] || die "bin/polar_basebackup is missing: run make build"
command -v python3 >/dev/null || die "python3, which measures the runs, is missing (apt-get install python3)"
scripts/install-deps.sh
pgbin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -n | tail -n1) || true
[ -n "$pgbin" ] && [ -x "$pgbin/pg_basebackup" ] || die "PostgreSQL is not installed (apt-get install postgresql)"
dir=$(mktemp -d /tmp/polarcast-bench.XXXXXX)
as=(env)
user=$(id -un)
if [ "$(id -u)" = 0 ]; then
	user=postgres
	as=(setpriv "--reuid=$user" "--regid=$(id -g "$user")" --clear-groups env "HOME=$dir")
fi
cleanup() {
	trap - EXIT INT TERM
	"${as[@]}" "$pgbin/pg_ctl" -D "$dir/primary" -m immediate -w stop >/dev/null 2>&1 || true
	cd / && rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$dir"
cp bin/polar_basebackup "$dir/" && chmod 755 "$dir/polar_basebackup"
chown -R "$user" "$dir"
cd "$dir"

"${as[@]}" "$pgbin/initdb" -D "$dir/primary" -U postgres -A trust -N -k >/dev/null
"${as[@]}" "$pgbin/pg_ctl" -D "$dir/primary" -l "$dir/log" -w \
	-o "-c port=5432 -c listen_addresses= -c unix_socket_directories=$dir -c max_wal_size=8GB -c shared_buffers=256MB" start >/dev/null
"${as[@]}" "$pgbin/pgbench" -i -q -s "${BENCH_SCALE:-60}" -h "$dir" -U postgres postgres 2>/dev/null

# cpu_all: jiffies that all processes have used; the server's are what is left when the client's own are taken away.
cpu_all() { awk '/^cpu /{print $2+$3+$4}' /proc/stat; }
tick=$(getconf CLK_TCK)

# run PROGRAM ARGS…: wall seconds, CPU seconds of client and of all others, peak MB
run() {
	# ext4 looks long for a free inode among those deleted a moment ago: copies of many small files lie beside each other until the end.
	[ -n "${keep:-}" ] || rm -rf "$dir"/copy.*
	local before after
	sync
	before=$(cpu_all)
	# shellcheck disable=SC2016
	"${as[@]}" python3 - "$@" -D "$(mktemp -u "$dir/copy.XXXXXX")" <<'PY' >"$dir/one" || die "$1 failed"
import os, subprocess, sys, time
t = time.monotonic()
p = subprocess.Popen(sys.argv[1:])
_, status, u = os.wait4(p.pid, 0)
print("%.2f %.2f %.0f" % (time.monotonic() - t, u.ru_utime + u.ru_stime, u.ru_maxrss / 1024))
sys.exit(0 if status == 0 else 1)
PY
	after=$(cpu_all)
	awk -v j=$((after - before)) -v t="$tick" '{printf "%s %s %.2f %s\n", $1, $2, j/t, $3}' "$dir/one"
}

pairs() { # title, arguments of ours…
	local title=$1
	shift
	: >"$dir/rows"
	for _ in $(seq "${BENCH_PAIRS:-2}"); do
		a=$(run "$pgbin/pg_basebackup" -h "$dir" -U postgres -c fast -X stream)
		b=$(run "$dir/polar_basebackup" -h "$dir" -U postgres -c fast -X stream "$@")
		echo "$a $b" >>"$dir/rows"
	done
	awk -v title="$title" '{w+=$5/$1; c+=$7/$3; pw+=$1; ow+=$5; if($8>m)m=$8; if($4>p)p=$4; n++}
		END {printf "%-38s %6.2f %6.2f %9.1f %9.1f %8d %8d\n", title, w/n, c/n, pw/n, ow/n, p, m}' "$dir/rows"
}

printf '%-38s %6s %6s %9s %9s %8s %8s\n' "ours / pg_basebackup" wall CPU "theirs s" "ours s" "their MB" "our MB"
pairs "pgbench data, stream" --source=stream
pairs "pgbench data, files by path" --source=files --read=path
for n in ${BENCH_JOBS:-}; do
	pairs "pgbench data, by path, $n workers" --source=files --read=path --jobs="$n"
done
for n in ${BENCH_SQL:-}; do
	pairs "pgbench data, by SQL, $n connections" --source=files --read=sql --jobs="$n"
done
mb=${BENCH_RANDOM_MB:-300}
if [ "$mb" -gt 0 ]; then
	"${as[@]}" "$pgbin/psql" -X -q -h "$dir" -U postgres -d postgres -c 'DROP TABLE pgbench_accounts' >/dev/null
	"${as[@]}" dd if=/dev/urandom of="$dir/primary/incompressible" bs=1M count="$mb" 2>/dev/null
	"${as[@]}" chmod 600 "$dir/primary/incompressible"
	pairs "random bytes, stream" --source=stream
	pairs "random bytes, files by path" --source=files --read=path
	rm "$dir/primary/incompressible"
fi
n=${BENCH_FILES:-0}
if [ "$n" -gt 0 ]; then
	"${as[@]}" "$pgbin/psql" -X -q -h "$dir" -U postgres -d postgres -c 'SET client_min_messages = warning' -c 'DROP TABLE IF EXISTS pgbench_accounts' -c CHECKPOINT >/dev/null
	# Not among the relations: what has no checksums of pages must not look like one.
	"${as[@]}" python3 - "$dir/primary/small" "$n" <<'PY'
import os, sys
os.mkdir(sys.argv[1], 0o700)
page = b"small file" * 820
for i in range(int(sys.argv[2])):
    fd = os.open("%s/%d" % (sys.argv[1], i), os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(fd, page[:8192])
    os.close(fd)
PY
	keep=1
	pairs "$n small files, stream" --source=stream
	pairs "$n small files, by path" --source=files --read=path
fi
echo "CPU is of all processes, server and client; the machine should do nothing else."
