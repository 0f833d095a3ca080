#!/bin/busybox sh
# The first program in a guest: gives it the host's root and starts the command there.
# The files beside it, and what they are for: see initramfs.rs.
PATH=/bin
/bin/busybox --install -s /bin

stop() {
    echo "init: $*" >/dev/console
    poweroff -f
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in /modules/*; do
    insmod "$module" || stop "insmod $module"
done

# The host's root, and above it what is written here.
share=trans=virtio,version=9p2000.L,msize=512000
mkdir -p /host /memory /root
mount -t 9p -o "ro,cache=loose,$share" host /host || stop "no root from the host"
mount -t tmpfs -o size=75% memory /memory
mkdir /memory/files /memory/work
mount -t overlay -o lowerdir=/host,upperdir=/memory/files,workdir=/memory/work root /root ||
    stop "no root"
for folder in proc sys dev; do
    mkdir -p "/root/$folder"
    mount --move "/$folder" "/root/$folder"
done
mkdir -p /root/run /root/lib/modules
mount -t tmpfs -o mode=755 run /root/run
mkdir -p /root/run/lock /root/run/netns /root/run/tmp
chmod 1777 /root/run/tmp
cd /root/dev
mkdir -p pts shm
ln -s /proc/self/fd fd
ln -s fd/0 stdin
ln -s fd/1 stdout
ln -s fd/2 stderr
mkdir net
mknod net/tun c 10 200
mount -t devpts devpts pts
mount -t tmpfs shm shm
cd /root/sys
mount -t bpf bpf fs/bpf
mount -t cgroup2 cgroup fs/cgroup
mount -t debugfs debugfs kernel/debug
mount -t tracefs tracefs kernel/tracing

cd /root
mount --bind ".$(cat /kernel)/lib/modules" lib/modules || stop "no modules"
# What is written there, the host keeps.
mount -t 9p -o "cache=none,$share" kept ".$(cat /kept)" || stop "nothing would be kept"
ip link set lo up
hostname guest
# An emulated processor is slow to take what a pair of devices hands over; lost there, it would be
# missing where tests count.
echo 100000 >proc/sys/net/core/netdev_max_backlog
cp /command run/command

count=0
until [ -c dev/vport0p1 ]; do
    count=$((count + 1))
    [ "$count" -lt 100 ] || stop "no port to the host"
    sleep 0.1
done
exec switch_root /root /bin/sh /run/command <dev/null >dev/vport0p1 2>&1
