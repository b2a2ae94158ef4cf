#!/bin/sh
# Runs every fuzz target of the module for a time, one after another: scripts/fuzz.sh [TIME]
set -eu
cd "$(dirname "$0")/.."
go=${GO:-go}
time=${1:-10s}

grep -rl --include='*_test.go' '^func Fuzz' . | xargs -r -n1 dirname | sort -u | while read -r dir; do
	grep -h '^func Fuzz' "$dir"/*_test.go | sed 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/' | sort -u | while read -r target; do
		echo "== $dir $target"
		$go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$dir" </dev/null
	done
done
