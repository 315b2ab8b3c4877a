#!/usr/bin/env python3
"""Verifies an exported audit log (jsonl) by what docs/audit.md says, with Python's standard library and openssl alone.

    verify.py audit.jsonl [checkpoints.jsonl [public.pem ...]]

Ends with 0 if everything holds, with 1 and the first thing that does not otherwise.
"""
import hashlib
import json
import subprocess
import sys
import tempfile

PLACE = ("position", "previous_seal", "seal")


def seal(entry):
    body = {name: value for name, value in entry.items() if name not in PLACE}
    canonical = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    text = f"audit-v1\n{entry['position']}\n{entry['previous_seal']}\n{canonical}"
    return hashlib.sha256(text.encode()).hexdigest()


def is_signed(checkpoint, keys):
    text = f"audit-checkpoint-v1\n{checkpoint['position']}\n{checkpoint['seal']}\n{checkpoint['made_at']}\n"
    with tempfile.NamedTemporaryFile() as message, tempfile.NamedTemporaryFile() as signature:
        message.write(text.encode())
        signature.write(bytes.fromhex(checkpoint["signature"] or ""))
        message.flush(), signature.flush()
        check = ["openssl", "pkeyutl", "-verify", "-rawin", "-in", message.name, "-sigfile", signature.name, "-pubin"]
        return any(subprocess.run([*check, "-inkey", key], capture_output=True).returncode == 0 for key in keys)


def bad(position, why):
    sys.exit(f"position {position}: {why}")


log, published, *keys = sys.argv[1:] + [None] * (len(sys.argv) < 3)
checkpoints = {}
for line in open(published) if published else ():
    checkpoint = json.loads(line)
    if keys and not is_signed(checkpoint, keys):
        bad(checkpoint["position"], "the checkpoint's signature does not hold")
    checkpoints[checkpoint["position"]] = checkpoint["seal"]
position, previous = 0, "0" * 64
for line in open(log, encoding="utf-8"):
    entry = json.loads(line)
    if entry["position"] is None:
        continue  # not sealed yet
    position += 1
    if entry["position"] != position or entry["previous_seal"] != previous:
        bad(position, "the entry is missing, or another stands here")
    if entry["seal"] != seal(entry):
        bad(position, "the entry is not what was sealed")
    previous = entry["seal"]
    if checkpoints.pop(position, previous) != previous:
        bad(position, "the chain is another one than at the checkpoint")
if checkpoints:
    bad(position + 1, f"the tail is missing: a checkpoint is at {min(checkpoints)}")
print(f"{position} entries hold")
