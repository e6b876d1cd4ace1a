"""The gates on instruction counts: what they let through, and what they say."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

BENCHES = Path(__file__).parent.parent / "benches"
BEFORE = {"publish": {"instructions": 1000.0, "calls out": 30.0}}


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHES)
    return importlib.import_module("instructions")


@pytest.fixture
def growth(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHES)
    return importlib.import_module("growth")


def judge(gate: Any, instructions: float, calls: float, rustc: str = "1.95.0") -> tuple[bool, str]:
    counts = {"publish": {"instructions": instructions, "calls out": calls}}
    stored = {"x86_64": {"rustc": "1.95.0", "counts": BEFORE}}
    result: tuple[bool, str] = gate.judge(counts, stored, "x86_64", rustc)
    return result


def test_the_same_passes(gate: Any) -> None:
    assert judge(gate, 1000, 30)[0]
    assert judge(gate, 1029, 30)[0]


def test_slower_fails_and_says_how_to_accept(gate: Any) -> None:
    passed, said = judge(gate, 1031, 30)
    assert not passed
    assert "publish: 1031.0 instructions, was 1000.0 (+3.1%)" in said
    assert "make accept-instructions" in said


def test_one_more_call_out_of_the_module_fails(gate: Any) -> None:
    passed, said = judge(gate, 1000, 31)
    assert not passed
    assert "calls out" in said


def test_faster_passes_and_is_told(gate: Any) -> None:
    passed, said = judge(gate, 900, 30)
    assert passed
    assert "was 1000.0 (-10.0%)" in said


def test_another_compiler_gets_a_wide_tolerance(gate: Any) -> None:
    assert judge(gate, 1200, 30, rustc="1.99.0")[0]
    assert not judge(gate, 1300, 30, rustc="1.99.0")[0]


def test_an_operation_that_is_no_longer_measured_fails(gate: Any) -> None:
    stored = {"x86_64": {"rustc": "1.95.0", "counts": BEFORE}}
    passed, said = gate.judge({}, stored, "x86_64", "1.95.0")
    assert not passed
    assert "not measured" in said


def test_a_machine_without_a_baseline_is_told(gate: Any) -> None:
    passed, said = gate.judge(BEFORE, {}, "aarch64", "1.95.0")
    assert passed
    assert "no baseline for aarch64" in said


def test_only_the_native_module_is_counted(gate: Any) -> None:
    dump = "\n".join(
        [
            "desc: Trigger: Client Request: publish",
            "ob=(1) /lib/_core.abi3.so",
            "fn=(1) publish",
            "16 2000",
            "+3 200",
            "cob=(2) /lib/libc.so.6",
            "cfn=(2) memcpy",
            "calls=400 0",
            "* 99999",
            "cfn=(3) encode",
            "calls=200 0",
            "* 88888",
            "ob=(2)",
            "fn=(2)",
            "20 77777",
        ]
    )
    assert gate.parse(dump) == {"instructions": 2200 / gate.CALLS, "calls out": 400 / gate.CALLS}


def test_the_report_of_the_core(gate: Any) -> None:
    line = (
        '{"function_name":"changed_read","id":"core","profiles":[{"data":{"parts":[],"total":'
        '{"metrics":{"Ir":{"values":{"new":271}}},"regressions":[]}},"tool":"Callgrind"}]}\n'
    )
    assert gate.parse_core(line) == {"core: changed read": {"instructions": 271.0}}


def test_a_cost_that_grows_with_the_leaves_passes(growth: Any) -> None:
    passed, said = growth.judge({"read: known numbers": {1_000: 100, 16_000: 1_650}})
    assert passed
    assert "more than" not in said


def test_a_cost_that_grows_faster_fails(growth: Any) -> None:
    passed, said = growth.judge({"read: known numbers": {1_000: 100, 16_000: 2_010}})
    assert not passed
    assert "read: known numbers" in said
    assert "more than 20" in said


def test_what_is_beside_may_not_cost_more_at_all(growth: Any) -> None:
    assert growth.judge({f"publish: {growth.BESIDE} numbers": {1_000: 100, 16_000: 110}})[0]
    assert not growth.judge({f"publish: {growth.BESIDE} numbers": {1_000: 100, 16_000: 130}})[0]
