"""Compares hwm with nvitop and gpustat, each of which sees the same fake NVML. The process that asks is in the lists by
its own pid, so it is left out. Left out, too, is what the witnesses are known to have wrong: rows of 32 bytes and more
memory than there is (nvitop), processes that are not there (gpustat)."""

import json
import os
import subprocess
import sys

NVITOP = """
import json, os
from nvitop import Device, NA
number = lambda value: None if value is NA or isinstance(value, str) else value
print(json.dumps([{
    "memory": [number(device.memory_total()), number(device.memory_used()), number(device.memory_free())],
    "processes": {str(p.pid): number(p.gpu_memory()) for p in device.processes().values() if p.pid != os.getpid()},
} for device in Device.all()]))
"""


def output_of(scenario, *command):
    environment = {**os.environ, "FAKE_NVML": scenario}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60).stdout


def hwm(scenario, *arguments):
    return json.loads(output_of(scenario, os.environ["HWM"], *arguments, "--json"))


def hwm_figures(scenario):
    devices = [
        {"memory": [device[f"{name}_bytes"] for name in ("total", "used", "free")], "processes": {}}
        for device in hwm(scenario)["devices"]
    ]
    for row in hwm(scenario, "ps", "--no-wait")["processes"]:
        if row["name"] != "hwm":
            devices[row["device"]["index"]]["processes"][str(row["pid"])] = row["vram_bytes"]
    return devices


compared = 0
for scenario in ("normal", "not_available", "same_pid", "no_v3", "gb10", "no_memory_info"):
    own = hwm_figures(scenario)
    nvitop = json.loads(output_of(scenario, sys.executable, "-c", NVITOP).splitlines()[-1])
    assert len(own) == len(nvitop), (scenario, own, nvitop)
    for device, witness in zip(own, nvitop):
        # Where the driver has no such figures nvitop shows the system's RAM, and hwm that they are unknown.
        if device["memory"][0] is not None:
            assert device["memory"] == witness["memory"], (scenario, device, witness)
        # nvitop does not read the list of MPS clients.
        for pid, amount in witness["processes"].items():
            assert device["processes"][pid] == amount, (scenario, pid, device, witness)
            compared += 1
    gpustat = json.loads(output_of(scenario, sys.argv[1], "--json"))["gpus"]
    for device, witness in zip(own, gpustat):
        mib = [None if amount is None else amount // 2**20 for amount in device["memory"][:2]]
        assert mib == [witness["memory.total"], witness["memory.used"]], (scenario, device, witness)
        compared += 1
print(f"{compared} figures compared, all the same")
assert compared > 20
