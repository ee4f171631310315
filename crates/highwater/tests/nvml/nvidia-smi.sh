#!/bin/sh
# Plays nvidia-smi for the situation that FAKE_NVML names. Nothing but what the shell has itself: PATH is bare.
case "$FAKE_NVML $1" in
smi_broken*)
    echo "Failed to initialize NVML: Driver/library version mismatch"
    exit 18
    ;;
"smi_old --query-gpu="*memory.reserved*)
    echo 'Field "memory.reserved" is not a valid field to query.'
    exit 2
    ;;
"smi_old --query-gpu="*)
    echo "GPU-0, 00000000:3B:00.0, 470.82.01, 15109, 2, 15107, Tesla T4"
    ;;
"smi_unknown --query-gpu="*)
    echo "GPU-0, 0000000F:01:00.0, 580.95.05, [N/A], [N/A], [N/A], [N/A], NVIDIA GB10"
    ;;
*--query-gpu=*)
    echo "GPU-0, 00000000:3B:00.0, 570.133.20, 81920, 5626, 76294, 506, NVIDIA Fake 80GB"
    echo "GPU-1, 00000000:AF:00.0, 570.133.20, 81920, 1024, 80390, 506, NVIDIA Fake 80GB"
    ;;
*--query-compute-apps=*)
    echo "GPU-0, 4184242, 2048"
    echo "GPU-0, 4184300, [N/A]"
    echo "GPU-1, 4184242, [Not Supported]"
    ;;
esac
