# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The kernels of the lab: which ones are in the cache, their KVM modules (as the
# distribution built them, or with our series), and the initramfs with them.
# Fetching the packages and building the debug kernel is not done here: see lab/setup.
# shellcheck disable=SC2154 # lab_dir, tree_dir, cache_*: lib/common.sh

# Modules for the initramfs in the order in which they are loaded.
root_modules=(fs/netfs/netfs net/9p/9pnet net/9p/9pnet_virtio fs/9p/9p fs/overlayfs/overlay)
host_modules=(virt/lib/irqbypass drivers/crypto/ccp/ccp)
kvm_modules=(kvm kvm-amd)

# kernel_find: sets kernel_dir (in the cache), kernel_version (of the package),
# kernel_release (as uname -r says), and kernel_source and kernel_headers, of which
# modules are built. Fails if there is none.
kernel_find() {
	local newest
	newest=$(cd "$cache_dir/kernel" 2> /dev/null && printf '%s\n' 6.12.* | sort -V | tail -n 1)
	kernel_dir=$cache_dir/kernel/$newest
	[ -n "$newest" ] && [ -e "$kernel_dir/release" ] || return 1
	kernel_version=$newest
	kernel_release=$(< "$kernel_dir/release")
	kernel_source=$kernel_dir/usr/src/linux-source-6.12.tar.xz
	kernel_headers=$kernel_dir/usr/src/linux-headers-$kernel_release
	kernel_build_args=()
}

# debug_kernel_key: changes when the debug kernel has to be built again. After
# kernel_find.
debug_kernel_key() {
	{
		printf '%s\n' "$kernel_version"
		cat "$lab_dir/debug-kernel" "$lab_dir/debug-kernel.config"
	} | sha256sum | cut -c 1-16
}

# debug_kernel_find: kernel_find, and then what it sets is that of the debug kernel of
# the same source. Fails if that is not in the cache.
debug_kernel_find() {
	local dir
	kernel_find || return
	dir=$cache_dir/debug-kernel/$(debug_kernel_key)
	[ -e "$dir/release" ] || return
	kernel_dir=$dir
	kernel_version+=-${dir##*/}
	kernel_release=$(< "$kernel_dir/release")
	kernel_headers=$kernel_dir/headers
	kernel_build_args=(--common-headers "$kernel_headers")
	# The rest is not modular there.
	root_modules=()
	host_modules=(virt/lib/irqbypass)
}

# kernel_extract VMLINUZ: the ELF file inside on stdout. QEMU starts it through
# the PVH entry, which saves unpacking 58 MB under emulation.
kernel_extract() {
	local offset
	offset=$(LC_ALL=C grep -obaP '\x28\xb5\x2f\xfd' "$1" | head -n 1 | cut -d: -f1)
	[ -n "$offset" ] || return 1
	# What follows the compressed kernel makes zstd complain after its end.
	tail -c "+$((offset + 1))" "$1" | zstd -dc 2> /dev/null || true
}

# series_key: changes when the patches or the way they are built change, and with nothing
# else that is there: a cover letter quotes figures that name this key.
series_key() {
	{
		printf '%s\n' "$kernel_version"
		cd "$tree_dir/kvm-patches" &&
			sed 's/#.*//; s/[[:space:]]//g; /^$/d; s,^,v6.12/,' v6.12/series |
			xargs sha256sum apply build v6.12/series
	} | sha256sum | cut -c 1-16
}

# kvm_modules_dir KIND: prints the directory with kvm.ko and kvm-amd.ko (stock:
# .ko.xz); builds the patched ones when there are none for this series yet.
# Only under cache_lock.
kvm_modules_dir() {
	local dir key stage log
	if [ "$1" = stock ]; then
		printf '%s\n' "$kernel_dir/lib/modules/$kernel_release/kernel/arch/x86/kvm"
		return
	fi
	[ -x "$tree_dir/kvm-patches/build" ] ||
		die "there is no kvm-patches/build in this tree: use --kernel stock"
	key=$(series_key)
	dir=$cache_dir/modules/$key
	if [ ! -d "$dir" ]; then
		note "building the patched KVM modules (1-2 minutes, once per change of the series)"
		stage=$(cache_stage modules) || exit
		log=$cache_dir/kvm-build.log
		if ! "$tree_dir/kvm-patches/build" --out "$stage" \
			--source "$kernel_source" --headers "$kernel_headers" \
			${kernel_build_args[@]+"${kernel_build_args[@]}"} \
			> "$log" 2>&1 {cache_lock_fd}>&-; then
			tail -n 20 "$log" >&2
			die "the patched KVM modules do not build: mend the series or use --kernel stock (log: $log)"
		fi
		{ [ -e "$stage/kvm.ko" ] && [ -e "$stage/kvm-amd.ko" ]; } ||
			die "kvm-patches/build made no kvm.ko and kvm-amd.ko: see $log"
		[ "$key" = "$(series_key)" ] ||
			die "the series was changed while it was built: run the same command again"
		rm -rf "$stage/work"
		cache_commit "$stage" "$dir"
		keep_newest 8 "$cache_dir/modules" # to go back and forth between branches
	fi
	touch "$dir"
	printf '%s\n' "$dir"
}

# add_module SOURCE NAME DIR: SOURCE.ko or SOURCE.ko.xz as DIR/NAME.ko.
add_module() {
	if [ -e "$1.ko" ]; then
		strip --strip-debug -o "$3/$2.ko" "$1.ko"
	else
		xz -dc "$1.ko.xz" > "$3/$2.ko"
	fi || die "cannot read the kernel module '$1': run 'lab/setup --renew kernel'"
}

# initramfs_make KIND: prints the path of the initramfs, made if needed.
initramfs_make() (
	local kvm_dir key target stage module names=()
	cache_lock
	kvm_dir=$(kvm_modules_dir "$1") || exit
	key=$({
		printf '%s\n' "$kernel_version" "$kvm_dir"
		cat "$lab_dir/lib/init" "${BASH_SOURCE[0]}"
	} | sha256sum | cut -c 1-16)
	target=$cache_dir/initramfs/$1-$key.cpio
	if [ ! -e "$target" ]; then
		stage=$(cache_stage initramfs) || exit
		mkdir -p "$stage"/root/{bin,dev,lower,modules,newroot,proc,run,rw,sys}
		cp "$(command -v busybox)" "$stage/root/bin/busybox"
		cp "$lab_dir/lib/init" "$stage/root/init"
		chmod 755 "$stage/root/init"
		for module in ${root_modules[@]+"${root_modules[@]}"} "${host_modules[@]}"; do
			add_module "$kernel_dir/lib/modules/$kernel_release/kernel/$module" \
				"${module##*/}" "$stage/root/modules"
			names+=("${module##*/}")
		done
		for module in "${kvm_modules[@]}"; do
			add_module "$kvm_dir/$module" "$module" "$stage/root/modules"
			names+=("$module")
		done
		printf '%s\n' "${names[@]}" > "$stage/root/modules/order"
		(cd "$stage/root" && find . -print0 | cpio --null --create --format=newc --quiet \
			--owner=0:0) > "$stage/cpio" || die "cannot pack the initramfs: is the disk full?"
		cache_commit "$stage/cpio" "$target"
		rm -rf "$stage"
		keep_newest 8 "$cache_dir/initramfs"
	fi
	touch "$target"
	printf '%s\n' "$target"
)
