#!/bin/sh
# Loads the module that CUDA needs besides NVIDIA's driver, and makes its device files. Some distributions leave that to
# programs, by nvidia-modprobe, which is setuid root: a service that may get no new privileges then finds no GPU.
set -eu
major() { awk '$2 == "nvidia-uvm" { print $1 }' /proc/devices; }
if [ -z "$(major)" ] && ! modprobe nvidia-uvm; then
  echo "No driver of NVIDIA can be loaded: trainings go on the processors." >&2
  exit 0
fi
umask 0  # as the driver's own files, which all may open
[ -e /dev/nvidia-uvm ] || mknod /dev/nvidia-uvm c "$(major)" 0
[ -e /dev/nvidia-uvm-tools ] || mknod /dev/nvidia-uvm-tools c "$(major)" 1
nvidia-smi --list-gpus  # for root, it makes those of the GPUs by itself
