"""The executor ``local`` keeps what every executor promises."""

import pytest

from evomerge.execution.local import LocalExecutor
from tests.execution.executor_contract import ExecutorContract, Factory, MortalContract


class TestLocal(ExecutorContract, MortalContract):
    @pytest.fixture
    def factory(self) -> Factory:
        return LocalExecutor
