"""Assembles every thread of a database and prints the fingerprints; run by `test_process`."""

from __future__ import annotations

import hashlib
import json
import sys

import contextkit


def main() -> None:
    with contextkit.load(json.loads(sys.argv[1])) as cm:
        out = {}
        for record in cm.threads(None):
            call = cm.thread(record.name, tenant=record.tenant).assemble("And now?")
            wire = json.dumps([call.to_openai(), call.to_anthropic()]).encode()
            out[record.name] = [call.fingerprint, hashlib.sha256(wire).hexdigest()]
        print(json.dumps(out))


if __name__ == "__main__":
    main()
