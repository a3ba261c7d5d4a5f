"""The clock that passes over stalls."""

from fakes.patient_clock import PatientClock


def test_it_goes_as_the_real_one_and_a_stall_counts_one_step() -> None:
    real = iter([100.0, 100.01, 100.02, 101.52, 101.53])
    clock = PatientClock(real=lambda: next(real))
    read = [round(clock(), 3) for _ in range(4)]
    assert read == [100.01, 100.02, 100.04, 100.05]
