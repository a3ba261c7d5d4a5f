"""What holds of every plan, whatever the pods are like."""

from hypothesis import given
from hypothesis import strategies as st

from callfleet_operator.policies.scaling import COST_RELEASED, plan_revision
from callfleet_operator.policies.views import PodView, ReportView, Seen

NOW = 1000.0
TIMES = st.one_of(st.none(), st.sampled_from([NOW - 700, NOW - 10]))
PODS = st.lists(
    st.builds(
        PodView,
        name=st.just("p"),
        uid=st.just("p"),
        revision=st.just("r"),
        containers_ready=st.booleans(),
        terminating_since=TIMES,
        finished=st.booleans(),
        unreachable=st.booleans(),
        gate=st.sampled_from([None, False, True]),
        draining_since=TIMES,
        created=st.sampled_from([1.0, 2.0]),
        cordoned=st.booleans(),
        row=st.sampled_from(Seen),
    ),
    max_size=8,
).map(
    lambda pods: [
        PodView(**{**pod.__dict__, "name": f"p{place}", "uid": f"p{place}"})
        for place, pod in enumerate(pods)
    ]
)
REPORTS = st.dictionaries(
    st.sampled_from([f"p{place}" for place in range(8)]),
    st.builds(
        ReportView,
        pod_uid=st.just("p"),
        heard=st.booleans(),
        draining=st.booleans(),
        calls=st.integers(0, 3),
        capacity=st.just(20),
    ),
)


@given(
    wanted=st.integers(0, 8),
    pods=PODS,
    reports=REPORTS,
    surge=st.one_of(st.none(), st.integers(0, 3)),
)
def test_no_plan_takes_a_call_from_anybody(
    wanted: int, pods: list[PodView], reports: dict[str, ReportView], surge: int | None
) -> None:
    plan = plan_revision(wanted, pods, reports, drain_timeout_s=600, now=NOW, max_surge=surge)
    by_uid = {pod.uid: pod for pod in pods}
    existing = {pod.uid for pod in pods if pod.exists}

    # A Deployment never has fewer replicas than pods that are not released.
    assert plan.replicas >= len(existing) - len(plan.release)
    # Released ones are out of the proxy, were asked to leave, and are the first to be deleted.
    for uid in plan.release:
        assert by_uid[uid].draining_since is not None
        assert by_uid[uid].gate is not True
        assert plan.deletion_costs[uid] == COST_RELEASED
    assert all(
        cost > COST_RELEASED for uid, cost in plan.deletion_costs.items() if uid not in plan.release
    )
    # Whoever is asked to leave serves now; whoever comes back was leaving.
    assert all(by_uid[uid].draining_since is None for uid in plan.drain)
    assert all(by_uid[uid].draining_since is not None for uid in plan.take_back)
    assert not set(plan.take_back) & set(plan.release)
    assert set(plan.drain) | set(plan.take_back) | set(plan.release) <= existing
    # Once the ReplicaSet did what it is told, there are as many that serve as are wanted: what it
    # deletes are the released ones, and it makes what is missing.
    lost = [pod for pod in pods if pod.exists and pod.unreachable]
    leaving = [p for p in pods if p.exists and not p.unreachable and p.draining_since is not None]
    leaving = [pod for pod in leaving if pod.uid not in {*plan.take_back, *plan.release}]
    if surge is not None:
        assert plan.replicas - len(lost) - len(leaving) - len(plan.drain) >= wanted
    if len(existing) > plan.replicas:
        assert len(existing) - plan.replicas <= len(plan.release)
    elif len(existing) == plan.replicas:
        assert not plan.release
    # Nobody is asked to leave while another is taken back, unless its node is to be emptied.
    if plan.take_back:
        assert all(by_uid[uid].cordoned for uid in plan.drain)


@given(wanted=st.integers(0, 8), pods=PODS, reports=REPORTS)
def test_who_stays_has_no_fewer_calls_than_who_leaves(
    wanted: int, pods: list[PodView], reports: dict[str, ReportView]
) -> None:
    plan = plan_revision(wanted, pods, reports, drain_timeout_s=600, now=NOW)
    calls = {uid: report.calls for uid, report in reports.items()}
    serving = [
        pod
        for pod in pods
        if pod.exists and pod.draining_since is None and not pod.unreachable and not pod.cordoned
    ]
    leave = [pod for pod in serving if pod.uid in plan.drain and pod.containers_ready]
    stay = [pod for pod in serving if pod.uid not in plan.drain]
    for pod in leave:
        assert all(calls.get(pod.uid, 0) <= calls.get(other.uid, 0) for other in stay)
