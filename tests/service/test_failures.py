from evomerge.service.failures import PER_ADDRESS, PER_TOKEN, WINDOW_S, Failures


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_token_that_keeps_failing_is_shut_out_alone() -> None:
    failures = Failures(Clock())
    for _ in range(PER_TOKEN - 1):
        failures.add("10.0.0.1", "abc")
    assert failures.wait_s("10.0.0.1", "abc") == 0
    failures.add("10.0.0.1", "abc")
    assert failures.wait_s("10.0.0.1", "abc") == WINDOW_S
    assert failures.wait_s("10.0.0.1", "def") == 0
    assert failures.wait_s("10.0.0.2", "abc") == 0


def test_an_address_that_tries_many_tokens_is_shut_out_altogether() -> None:
    failures = Failures(Clock())
    for number in range(PER_ADDRESS):
        assert failures.wait_s("10.0.0.1", str(number)) == 0
        failures.add("10.0.0.1", str(number))
    assert failures.wait_s("10.0.0.1", "new") == WINDOW_S
    assert failures.wait_s("10.0.0.2", "new") == 0


def test_failures_are_forgotten_after_a_minute() -> None:
    clock = Clock()
    failures = Failures(clock)
    for _ in range(PER_TOKEN):
        clock.now += 1
        failures.add("10.0.0.1", "abc")
    assert failures.wait_s("10.0.0.1", "abc") == WINDOW_S - (PER_TOKEN - 1)
    clock.now += WINDOW_S - PER_TOKEN + 1
    assert failures.wait_s("10.0.0.1", "abc") == 0
    failures.add("10.0.0.1", "abc")
    assert failures.wait_s("10.0.0.1", "abc") > 0


def test_only_so_many_addresses_are_remembered() -> None:
    failures = Failures(Clock())
    for number in range(20_000):
        failures.add(f"10.{number}", "")
    assert len(failures._times) == 10_000
