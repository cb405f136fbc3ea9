# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What every script of the lab needs: where the cache is, how to speak, how to
# make a file or directory of the cache so that no half-made one is ever seen.
# shellcheck disable=SC2034 # used by those who read this file

lab_dir=$(cd -- "${BASH_SOURCE[0]%/*}/.." && pwd -P)
tree_dir=${lab_dir%/*}

if [ -n "${VMTIER_CACHE:-}" ]; then
	cache_dir=$VMTIER_CACHE
elif [ "$(id -u)" = 0 ]; then
	cache_dir=/var/cache/vmtier
else
	cache_dir=${HOME:?the lab needs HOME or VMTIER_CACHE to be set}/.cache/vmtier
fi
case $cache_dir in
/*) ;;
*) cache_dir=$PWD/$cache_dir ;;
esac

die_status=1 # lab/run sets 125: "the lab failed", as opposed to "the command failed"
quiet=${quiet:-}

die() {
	printf '%s: %s\n' "lab/${0##*/}" "$*" >&2
	exit "$die_status"
}

note() {
	[ -n "$quiet" ] || printf '%s: %s\n' "lab/${0##*/}" "$*" >&2
}

# Take the lock of the cache for the rest of this subshell. Called as
# ( cache_lock; ... ), so that the lock goes with the subshell.
# Longer-lived children have to close cache_lock_fd.
cache_lock() {
	mkdir -p "$cache_dir" ||
		die "cannot make the cache '$cache_dir': set VMTIER_CACHE to a directory that you can write to"
	exec {cache_lock_fd}> "$cache_dir/lock" ||
		die "cannot write to the cache '$cache_dir': set VMTIER_CACHE to a directory that you can write to"
	flock -n "$cache_lock_fd" && return
	note "waiting for another lab that fills the cache"
	flock "$cache_lock_fd"
}

# cache_stage NAME: an empty directory in the cache on the same file system as
# what it will become; leavings of an interrupted run are removed first. Only
# under cache_lock.
cache_stage() {
	local stage=$cache_dir/stage-$1
	rm -rf -- "$stage"
	mkdir -p "$stage" || die "cannot write to the cache '$cache_dir': is the disk full?"
	printf '%s\n' "$stage"
}

# cache_commit STAGE TARGET: put a finished file or directory in its place.
cache_commit() {
	{ mkdir -p "${2%/*}" && mv -T -- "$1" "$2"; } ||
		die "cannot move '$1' to '$2': is the disk full?"
}

# keep_newest N DIR: remove what is in DIR except the N entries changed last.
keep_newest() {
	find "$2" -mindepth 1 -maxdepth 1 -printf '%T@ %p\n' | sort -rn | tail -n "+$(($1 + 1))" |
		cut -d' ' -f2- | xargs -r -d '\n' rm -rf --
}
