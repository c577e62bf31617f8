"""`POST /job` under 48 connections, accepted durably, beside the same gateway without store and bus."""

import json
from statistics import median

from grounds import Ground, Role
from http_load import Load, as_fast_as_possible

CONNECTIONS = 48
#: As CKAN sends it (ckanext/datapusher/logic/action.py, `datapusher_submit`).
BODY = json.dumps({
    "api_key": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJqdGkiOiJ1bklSdmNwYnhOeDlFT0dPM1ZBIiwiaWF0IjoxNzAwMDAwMDAwfQ.sig",
    "job_type": "push_to_datastore",
    "result_url": "https://ckan.example.org/api/3/action/datapusher_hook",
    "metadata": {
        "ignore_hash": False,
        "ckan_url": "https://ckan.example.org",
        "resource_id": "0d5f1b8e-3f51-4c4d-9b8e-6f3f5b8d5c11",
        "set_url_type": False,
        "task_created": "2026-11-22 08:00:00.000000",
        "original_url": "https://ckan.example.org/dataset/a/resource/b/download/c.csv",
    },
}).encode()  # fmt: skip


def measure(ground: Ground, *, rounds: int, seconds: float) -> dict[str, float]:
    with ground.running("datapusher.py", "gateway") as durable, ground.running("bench/bare_gateway.py") as bare:
        for role in (durable, bare):
            _posts(role, 1)
        used = durable.cpu_s
        pairs = [(_posts(durable, seconds), _posts(bare, seconds)) for _ in range(rounds)]
        used = durable.cpu_s - used
    if failed := sum(load.failed for pair in pairs for load in pair):
        raise RuntimeError(f"{failed} requests were refused")
    for ours, bare_load in pairs:
        times = f"p50 {ours.p50_ms:5.1f} ms  p99 {ours.p99_ms:6.1f} ms"
        print(f"  durable {ours.per_s:7,.0f}/s  {times}   bare {bare_load.per_s:7,.0f}/s")
    print(f"  {1e6 * used / sum(ours.requests for ours, _ in pairs):.0f} µs of the gateway's processor time for each")
    return {
        "post_vs_bare": round(median(ours.per_s / bare_load.per_s for ours, bare_load in pairs), 3),
        "post_per_s": round(median(ours.per_s for ours, _ in pairs)),
        "post_p50_ms": round(median(ours.p50_ms for ours, _ in pairs), 1),
        "post_p99_ms": round(median(ours.p99_ms for ours, _ in pairs), 1),
    }


def _posts(gateway: Role, seconds: float) -> Load:
    return as_fast_as_possible(f"{gateway.url}/job", BODY, connections=CONNECTIONS, seconds=seconds)
