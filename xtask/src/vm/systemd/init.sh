#!/bin/busybox sh
# Puts the product and the test's own files over a fresh copy of the disk, then hands over to
# systemd.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod "$module"; done
mkdir /new
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vda ] && break; sleep 0.2; done
# A file does not give way to a link.
mount -t ext4 /dev/vda /new && rm -f /new/etc/resolv.conf && cp -a /product/. /new/ || poweroff -f
umount /proc /sys
mount --move /dev /new/dev
exec switch_root /new /lib/systemd/systemd
