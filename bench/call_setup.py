"""INVITE to 200 through one connector, called by sipp: p50, p95 and failed calls.

    python bench/call_setup.py [--quick] [--rate 50] [--calls 1500]

A call lasts 300 ms. The workers are those of the tests, which speak a tone, so that what is
measured is the connector: SIP, admission, ports, SDP, media and the link. The baseline in the same
run is sipp's own answering scenario, which allocates nothing and sends no sound. Times are sipp's,
from the INVITE to the 200, at 1 ms.
"""

import argparse
import asyncio
import contextlib
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from bench.report import machine, percentile, show

from fakes.connector import LOOPBACK, running, settings
from ports import free_port

SCENARIO = """<?xml version="1.0" encoding="UTF-8"?>
<scenario name="call set-up">
  <send retrans="500" start_rtd="1"><![CDATA[

INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:bench@[local_ip]:[local_port]>;tag=[pid]f[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:bench@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=bench 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [local_ip]
t=0 0
m=audio 9 RTP/AVP 0
]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="200" rtd="1" rrs="true"/>
  <send><![CDATA[

ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:bench@[local_ip]:[local_port]>;tag=[pid]f[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
  <pause milliseconds="300"/>
  <send retrans="500"><![CDATA[

BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:bench@[local_ip]:[local_port]>;tag=[pid]f[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
  <recv response="200"/>
</scenario>
"""


async def measure(what: str, port: int, rate: int, calls: int) -> dict[str, object]:
    """One row: sipp calls the port."""
    with TemporaryDirectory() as folder:
        scenario = Path(folder) / "uac.xml"
        scenario.write_text(SCENARIO, encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            "sipp", "-sf", str(scenario), f"{LOOPBACK}:{port}", "-s", "agent", "-i", LOOPBACK,
            "-r", str(rate), "-m", str(calls), "-l", str(4 * rate), "-nostdin",
            "-trace_rtt", "-rtt_freq", "1", "-timeout", f"{calls // rate + 300}s",
            cwd=folder,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        status = await process.wait()
        times = _times(Path(folder))
    if not times:
        raise SystemExit(f"{what}: sipp measured nothing (status {status})")
    return {
        "what": what,
        "calls": calls,
        "a second": rate,
        "p50 ms": percentile(times, 50),
        "p95 ms": percentile(times, 95),
        "failed": calls - len(times) if status == 0 else max(1, calls - len(times)),
    }


def _times(folder: Path) -> list[float]:
    """What sipp wrote down of each call, in milliseconds."""
    return [
        float(line.split(";")[1])
        for path in folder.glob("*_rtt.csv")
        for line in path.read_text(encoding="utf-8").splitlines()[1:]
    ]


async def baseline(rate: int, calls: int) -> dict[str, object]:
    """sipp answers sipp."""
    port = free_port()
    with TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            "sipp", "-sn", "uas", "-i", LOOPBACK, "-p", str(port), "-nostdin",
            cwd=folder,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await asyncio.sleep(1.0)  # an INVITE that comes before it listens is sent again
        try:
            return await measure("sipp's own UAS", port, rate, calls)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds")
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--calls", type=int, default=1500)
    options = parser.parse_args()
    calls, workers = (25, 1) if options.quick else (options.calls, 8)
    facts = machine()
    rows = [await baseline(options.rate, calls)]
    agent = settings(capacity={"callsPerPod": 25 * workers, "workers": workers})
    async with running(agent, rtp_pairs=400) as connector:
        rows.append(await measure("connector", connector.sip_port, options.rate, calls))
    show("call_setup", facts, rows)
    if any(row["failed"] for row in rows):
        raise SystemExit("calls failed")


if __name__ == "__main__":
    asyncio.run(main())
