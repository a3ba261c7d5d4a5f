"""What values of the chart ask for, and what is made of them; no API server is needed."""

import json
from pathlib import Path
from typing import Any

import pytest

from callfleet_operator.model import load_live_providers
from callfleet_operator.model.live import Budget, TimeLimits
from callfleet_operator.model.settings import OperatorSettings, load_settings
from command_lines import parameters
from helm import CHART, rendered, template

ALONE = ("--set", "proxy.address=192.0.2.10")
EVERYTHING = ("-f", str(CHART / "ci" / "everything.yaml"))


def the(kind: str, name: str, *values: str) -> dict[str, Any]:
    (found,) = named(kind, name, *values)
    return found


def named(kind: str, name: str, *values: str) -> list[dict[str, Any]]:
    return [
        item
        for item in rendered(*values)
        if (item["kind"], item["metadata"]["name"]) == (kind, name)
    ]


# --- the archive of the audit log -----------------------------------------------------------------

ARCHIVE = ("--set", "platform.audit.archive.enabled=true")
AUDIT = "callfleet-audit-archive"


def test_nothing_leaves_the_audit_log_unless_it_is_asked_for() -> None:
    assert named("CronJob", AUDIT, *ALONE) == []
    assert named("PersistentVolumeClaim", AUDIT, *ALONE) == []
    off = (*ALONE, *ARCHIVE, "--set", "platform.enabled=false")
    assert named("CronJob", AUDIT, *off) == []


def test_a_month_leaves_only_after_the_chains_were_followed() -> None:
    job = the("CronJob", AUDIT, *ALONE, *ARCHIVE)
    spec = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (verify,), (archive,) = spec["initContainers"], spec["containers"]

    anchors = "--anchors=/archive/anchors.json"
    written = "--write-anchors=/archive/anchors.json"
    assert verify["args"] == ["audit", "verify", anchors, written]
    assert archive["args"] == ["audit", "archive", anchors, "--to=/archive", "--keep-days=730"]
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    assert spec["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in spec
    for container in (verify, archive):
        mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
        assert mounts["archive"]["mountPath"] == "/archive"
        assert mounts["sealing"]["readOnly"] is True
        # Dropping a partition is the right of the tables' owner.
        (url,) = [item for item in container["env"] if item["name"] == "CALLFLEET_DATABASE_URL"]
        assert url["valueFrom"]["secretKeyRef"]["key"] == "owner-url"


def test_the_archives_volume_outlives_the_release_or_is_ones_own() -> None:
    claim = the("PersistentVolumeClaim", AUDIT, *EVERYTHING)
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["resources"]["requests"]["storage"] == "20Gi"
    assert volume(the("CronJob", AUDIT, *EVERYTHING)) == AUDIT

    own = (*ALONE, *ARCHIVE, "--set", "platform.audit.archive.claimName=evidence")
    assert named("PersistentVolumeClaim", AUDIT, *own) == []
    assert volume(the("CronJob", AUDIT, *own)) == "evidence"


def volume(job: dict[str, Any]) -> str:
    volumes = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"]
    (claim,) = [item["persistentVolumeClaim"] for item in volumes if item["name"] == "archive"]
    name: str = claim["claimName"]
    return name


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("keepDays=30", "keepDays"),
        ("schedule=daily", "schedule"),
        ("size=8", "size"),
        ("claimName=A B", "claimName"),
        ("nothing=1", "nothing"),
    ],
)
def test_an_archive_that_cannot_be_is_refused_by_its_field(value: str, field: str) -> None:
    done = template(*ALONE, *ARCHIVE, "--set", f"platform.audit.archive.{value}")
    assert done.returncode != 0
    assert field in done.stderr


# --- banks of agents' own -------------------------------------------------------------------------


def operator_settings(*values: str) -> OperatorSettings:
    return load_settings(the("ConfigMap", "callfleet-operator", *values)["data"]["operator.yaml"])


@pytest.mark.parametrize(
    ("values", "refuses"),
    [
        (("--set", "demoBank.enabled=true"), True),
        (("--set", "platform.bank.url=https://bank.example"), True),
        (("--set", "demoBank.enabled=true,platform.ownBanks=allow"), False),
        # Without a banking service there is no audit log that they would be missing from.
        ((), False),
        (("--set", "demoBank.enabled=true,platform.roles.banking.enabled=false"), False),
        (("--set", "demoBank.enabled=true,platform.enabled=false"), False),
    ],
)
def test_agents_have_no_bank_of_their_own_where_a_banking_service_has_one(
    values: tuple[str, ...], refuses: bool
) -> None:
    assert operator_settings(*ALONE, *values).refuses_own_banks is refuses


@pytest.mark.parametrize("value", ["true", "warn", ""])
def test_own_banks_are_refused_or_allowed_and_nothing_else(value: str) -> None:
    done = template(*ALONE, "--set", f"platform.ownBanks={value}")
    assert done.returncode != 0
    assert "ownBanks" in done.stderr


# --- who reads metrics ----------------------------------------------------------------------------


def test_networks_that_read_metrics_are_told_to_the_operator() -> None:
    def told(*values: str) -> tuple[str, ...]:
        return operator_settings(*values).metrics_cidrs

    assert told(*ALONE) == ()
    assert told(*EVERYTHING) == ("192.0.2.64/26",)


def test_a_network_that_is_none_is_refused_by_its_field() -> None:
    done = template(*ALONE, "--set", "monitoring.metricsCidrs={prometheus}")
    assert done.returncode != 0
    assert "metricsCidrs" in done.stderr


# --- the language model of the services -----------------------------------------------------------

DEMO = (*ALONE, "--set", "demoBank.enabled=true")
MODEL = (
    *DEMO, "--set", "platform.roles.llm.enabled=true",
    "--set", "platform.llm.url=https://llm.example/v1",
)  # fmt: skip
KEY = "platform.llm.keySecret.name=llm-key,platform.llm.keySecret.key=api-key"


def pod(name: str, *values: str) -> dict[str, Any]:
    deployment = the("Deployment", f"callfleet-{name}", *values)
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


def told(name: str, *values: str) -> dict[str, Any]:
    """What the service's command reads."""
    (container,) = pod(name, *values)["containers"]
    return parameters(container["args"])


@pytest.fixture(autouse=True)
def no_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLFLEET_DATABASE_URL", "postgresql://x")
    monkeypatch.setenv("CALLFLEET_REDIS_URL", "redis://x")
    monkeypatch.setenv("CALLFLEET_SEALING_KEYS", "/keys")


def test_one_model_is_told_to_who_answers_and_to_nobody_else() -> None:
    values: tuple[str, ...] = (*MODEL, "--set", KEY)
    for more in ("llm.engine=openai", "llm.model=small", "roles.aiVoiceConnector.enabled=true"):
        values += ("--set", f"platform.{more}")
    for name in ("llm", "ai-voice-connector"):
        read = told(name, *values)
        assert read["llm_url"] == "https://llm.example/v1"
        assert (read["llm_engine"], read["llm_model"]) == ("openai", "small")
        assert read["llm_key"] == Path("/etc/callfleet/providers/llm")
        spec = pod(name, *values)
        (volume,) = [item for item in spec["volumes"] if item["name"] == "providers"]
        assert volume["projected"]["sources"] == [
            {"secret": {"name": "llm-key", "items": [{"key": "api-key", "path": "llm"}]}}
        ]
        (container,) = spec["containers"]
        mounts = [item for item in container["volumeMounts"] if item["name"] == "providers"]
        assert [item["mountPath"] for item in mounts] == ["/etc/callfleet/providers"]
    assert told("banking", *values)["llm_url"] == ""
    volumes = pod("banking", *values)["volumes"]
    assert "providers" not in {item["name"] for item in volumes}


def test_without_a_model_nothing_is_said_of_one_and_nothing_more_may_be_reached() -> None:
    alone = (*DEMO, "--set", "platform.roles.llm.enabled=true")
    (container,) = pod("llm", *alone)["containers"]
    assert not [word for word in container["args"] if "llm-" in word or "fact" in word]
    assert not open_egress(*alone)
    assert open_egress(*MODEL)


def open_egress(*values: str) -> list[dict[str, Any]]:
    policy = the("NetworkPolicy", "callfleet-platform", *values)
    rules = policy["spec"]["egress"]
    return [rule for rule in rules if any("endPort" in port for port in rule.get("ports", ()))]


def test_facts_that_a_model_sees_are_chosen_and_may_be_none() -> None:
    some = told("llm", *MODEL, "--set", "platform.llm.facts={topic}")
    none = told("llm", *MODEL, "--set-json", "platform.llm.facts=[]")
    assert some["model_facts"] == ("topic",)
    assert set(none["model_facts"]) == {""}


def test_chains_are_what_the_services_read_and_follow() -> None:
    live = the("ConfigMap", "callfleet-providers", *EVERYTHING)["data"]["providers.yaml"]
    chains = load_live_providers(live)
    cloud, rules = chains.llm
    assert (cloud.pool, cloud.engine, cloud.hosting) == ("cloud", "openai", "external")
    assert cloud.key_file == "/etc/callfleet/providers/llm.cloud"
    assert cloud.ca_file == "/etc/callfleet/providers/llm.cloud.ca.crt"
    assert cloud.limits == TimeLimits(
        connect_ms=500, first_byte_ms=2000, gap_ms=1500, total_ms=8000
    )
    assert cloud.budget == Budget(units_per_day=5_000_000)
    assert (rules.engine, rules.hosting) == ("rules", "embedded")
    assert chains.asr[0].limits.first_byte_ms == 1500
    assert chains.tts[0].speed == 1.1

    for name in ("llm", "ai-voice-connector"):
        assert told(name, *EVERYTHING)["providers"] == Path("/etc/callfleet/live/providers.yaml")
        volumes = {item["name"]: item for item in pod(name, *EVERYTHING)["volumes"]}
        assert volumes["live"]["configMap"]["name"] == "callfleet-providers"
        (key, ca) = volumes["providers"]["projected"]["sources"]
        assert key["secret"]["items"] == [{"key": "api-key", "path": "llm.cloud"}]
        assert ca["secret"]["items"] == [{"key": "ca.crt", "path": "llm.cloud.ca.crt"}]


ROLE = "platform.roles.llm.enabled=true"
URL = "platform.llm.url=https://llm.example/v1"


def chain(stage: str, *members: dict[str, Any]) -> tuple[str, str]:
    return "--set-json", f"platform.providers.{stage}={json.dumps(members)}"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("--set", URL), "nobody asks it"),
        (("--set", f"{ROLE},{KEY}"), "needs platform.llm.url"),
        (("--set", f"{ROLE},{URL},platform.llm.engine=piper"), "engine"),
        (("--set", f"{ROLE},platform.llm.url=https://me:secret@llm.example"), "url"),
        (("--set", f"{ROLE},{URL},platform.llm.key=sk-1"), "key"),
        (("--set", f"{ROLE},{URL}", *chain("llm", {"name": "r", "engine": "rules"})), "exclude"),
        (("--set", ROLE, *chain("llm", {"name": "a", "engine": "openai"})), "llm[0].endpoints"),
        (("--set", ROLE, *chain("llm", {"name": "a", "engine": "piper"})), "engine"),
        (("--set", ROLE, *chain("llm", {"name": "a", "engine": "rules", "key": "sk"})), "key"),
        (
            ("--set", ROLE, *chain("llm", *[{"name": "r", "engine": "rules"}] * 2)),
            "llm[1].name: r is in the chain already",
        ),
        (
            ("--set", ROLE, *chain("llm", {"name": "r", "engine": "rules",
                                           "endpoints": ["http://x"]})),
            "runs inside the service",
        ),
        (("--set", ROLE, *chain("tts", {"name": "e", "engine": "espeak"})), "aiVoiceConnector"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_asked_is_refused_by_its_field(
    values: tuple[str, ...], said: str
) -> None:
    done = template(*DEMO, *values)
    assert done.returncode != 0
    assert said in done.stderr
    assert "sk-1" not in done.stderr


def test_conversations_over_streams_are_recorded_and_audited() -> None:
    found = pod(
        "ai-voice-connector", *DEMO, "--set", "platform.roles.aiVoiceConnector.enabled=true"
    )
    (container,) = found["containers"]
    told = {one["name"]: one for one in container["env"]}
    mounted = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    assert told["CALLFLEET_DATABASE_URL"]["valueFrom"]["secretKeyRef"]["key"] == "services-url"
    assert told["CALLFLEET_SEALING_KEYS"]["value"] in mounted
    journal = mounted[told["CALLFLEET_JOURNAL"]["value"]]
    assert {"name": journal, "emptyDir": {"sizeLimit": "64Mi"}} in found["volumes"]
